import CSQLite

extension Connection {
    /// Replaces `instr`, `replace`, `trim`, `ltrim` and `rtrim` by linear functions that can be interrupted, with
    /// exactly SQLite's results, and bounds the arguments of `json_patch`.
    ///
    /// SQLite's own functions take time proportional to the product of their arguments' lengths, hours for 16 MB, and
    /// do not check a deadline. These call the progress handler about every millisecond. They are deterministic and
    /// innocuous like the originals, so they can be used in the same places: an index or a generated column resolves a
    /// function by its name when the schema is loaded
    /// ([sqlite3_create_function](https://sqlite.org/c3ref/create_function.html)), and keeps its values.
    func replaceQuadraticFunctions() throws(SQLiteError) {
        try register("instr", argumentCount: 2) { FunctionCall($0, $2)?.instr() }
        try register("replace", argumentCount: 3) { FunctionCall($0, $2)?.replace() }
        for count: Int32 in 1...2 {
            try register("trim", argumentCount: count) { FunctionCall($0, $2)?.trim($1, left: true, right: true) }
            try register("ltrim", argumentCount: count) { FunctionCall($0, $2)?.trim($1, left: true, right: false) }
            try register("rtrim", argumentCount: count) { FunctionCall($0, $2)?.trim($1, left: false, right: true) }
        }
        try register("json_patch", argumentCount: 2) { FunctionCall($0, $2)?.patchJSON() }
    }

    private typealias Function =
        @convention(c) (
            _ context: OpaquePointer?, _ argumentCount: Int32, _ arguments: UnsafeMutablePointer<OpaquePointer?>?
        ) -> Void

    private func register(_ name: String, argumentCount: Int32, _ function: Function) throws(SQLiteError) {
        try check(
            sqlite3_create_function_v2(
                handle,
                name,
                argumentCount,
                SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                hooks.context,
                function,
                nil,
                nil,
                nil
            )
        )
    }
}

/// One call of a function: valid only during that call.
private struct FunctionCall {
    fileprivate let context: OpaquePointer
    fileprivate let arguments: UnsafeMutablePointer<OpaquePointer?>
    fileprivate let hooks: Hooks?

    init?(_ context: OpaquePointer?, _ arguments: UnsafeMutablePointer<OpaquePointer?>?) {
        guard let context, let arguments else { return nil }
        self.context = context
        self.arguments = arguments
        hooks = Hooks.from(sqlite3_user_data(context))
    }

    private var shouldStop: Bool { hooks?.progress?() == .interrupt }

    private func interrupted() { sqlite3_result_error_code(context, SQLITE_INTERRUPT) }

    /// Nil for NULL, and when there is no memory.
    private func text(_ value: OpaquePointer?) -> UnsafeRawBufferPointer? {
        guard let bytes = sqlite3_value_text(value) else { return nil }
        return UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_value_bytes(value)))
    }

    private func failWithoutMemory(unlessNull value: OpaquePointer?) {
        if sqlite3_value_type(value) != SQLITE_NULL { sqlite3_result_error_nomem(context) }
    }

    // MARK: instr(X, Y)

    func instr() {
        let types = (sqlite3_value_type(arguments[0]), sqlite3_value_type(arguments[1]))
        if types.0 == SQLITE_NULL || types.1 == SQLITE_NULL { return }
        if sqlite3_value_bytes(arguments[1]) == 0 { return sqlite3_result_int(context, 1) }
        if types.0 == SQLITE_BLOB && types.1 == SQLITE_BLOB {
            return find(blob(arguments[1]), in: blob(arguments[0]), isText: false)
        }
        guard types.0 == SQLITE_BLOB || types.1 == SQLITE_BLOB else {
            guard let needle = text(arguments[1]), let haystack = text(arguments[0]) else {
                return sqlite3_result_error_nomem(context)
            }
            return find(needle, in: haystack, isText: true)
        }
        // A blob that is read as text stays a blob for later uses of the value.
        let copies = (sqlite3_value_dup(arguments[0]), sqlite3_value_dup(arguments[1]))
        defer {
            sqlite3_value_free(copies.0)
            sqlite3_value_free(copies.1)
        }
        guard let needle = text(copies.1), let haystack = text(copies.0) else {
            return sqlite3_result_error_nomem(context)
        }
        find(needle, in: haystack, isText: true)
    }

    private func blob(_ value: OpaquePointer?) -> UnsafeRawBufferPointer {
        let bytes = sqlite3_value_blob(value)
        return UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : Int(sqlite3_value_bytes(value)))
    }

    /// Text is searched character by character: at its first byte, and at each byte that is not a continuation byte.
    private func find(_ needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer, isText: Bool) {
        guard let first = needle.first else { return sqlite3_result_int(context, 1) }
        var place: Int?
        if isText, first & 0xC0 == 0x80 {
            // A continuation byte begins a character only at the very beginning of the text.
            if needle.count <= haystack.count, haystack.prefix(needle.count).elementsEqual(needle) { place = 0 }
        } else {
            var search = ByteSearch(for: needle) { shouldStop }
            do { place = try search.first(in: haystack, from: 0) } catch { return interrupted() }
        }
        guard let place else { return sqlite3_result_int(context, 0) }
        guard isText, place > 0 else { return sqlite3_result_int64(context, Int64(place) + 1) }
        var characters: Int64 = 1
        for byte in haystack[1...place] where byte & 0xC0 != 0x80 { characters += 1 }
        sqlite3_result_int64(context, characters)
    }

    // MARK: replace(X, Y, Z)

    func replace() {
        guard let text = text(arguments[0]) else { return failWithoutMemory(unlessNull: arguments[0]) }
        guard let pattern = self.text(arguments[1]) else { return failWithoutMemory(unlessNull: arguments[1]) }
        // The pattern is empty, or SQLite treats it as empty.
        if pattern.isEmpty || pattern[0] == 0 { return sqlite3_result_value(context, arguments[0]) }
        guard let replacement = self.text(arguments[2]) else { return failWithoutMemory(unlessNull: arguments[2]) }
        do {
            try replace(pattern, in: text, by: replacement)
        } catch {
            interrupted()
        }
    }

    private func replace(
        _ pattern: UnsafeRawBufferPointer,
        in text: UnsafeRawBufferPointer,
        by replacement: UnsafeRawBufferPointer
    ) throws(ByteSearch.Interrupted) {
        var search = ByteSearch(for: pattern) { shouldStop }
        var matchCount = 0
        var place = 0
        while let match = try search.first(in: text, from: place) {
            matchCount += 1
            place = match + pattern.count
        }
        let byteCount = text.count + matchCount * (replacement.count - pattern.count)
        guard byteCount <= Int(sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1)) else {
            return sqlite3_result_error_toobig(context)
        }
        guard let bytes = sqlite3_malloc64(UInt64(byteCount) + 1) else { return sqlite3_result_error_nomem(context) }
        let output = UnsafeMutableRawBufferPointer(start: bytes, count: byteCount)
        var isGivenAway = false
        defer { if !isGivenAway { sqlite3_free(bytes) } }
        var end = 0
        func append(_ part: UnsafeRawBufferPointer) {
            UnsafeMutableRawBufferPointer(rebasing: output[end..<end + part.count]).copyMemory(from: part)
            end += part.count
        }
        place = 0
        for _ in 0..<matchCount {
            guard let match = try search.first(in: text, from: place) else { break }
            append(UnsafeRawBufferPointer(rebasing: text[place..<match]))
            append(replacement)
            place = match + pattern.count
        }
        append(UnsafeRawBufferPointer(rebasing: text[place...]))
        isGivenAway = true
        sqlite3_result_text64(
            context,
            bytes.assumingMemoryBound(to: CChar.self),
            UInt64(end),
            { sqlite3_free($0) },
            UInt8(SQLITE_UTF8)
        )
    }

    // MARK: trim(X), trim(X, Y)

    func trim(_ argumentCount: Int32, left: Bool, right: Bool) {
        if sqlite3_value_type(arguments[0]) == SQLITE_NULL { return }
        guard var rest = text(arguments[0]) else { return sqlite3_result_error_nomem(context) }
        let set: TrimSet
        if argumentCount == 1 {
            set = .space
        } else {
            guard let characters = text(arguments[1]) else { return failWithoutMemory(unlessNull: arguments[1]) }
            set = TrimSet(characters)
        }
        if !set.isEmpty {
            for atEnd in [false, true] where atEnd ? right : left {
                guard trim(&rest, set, atEnd: atEnd) else { return interrupted() }
            }
        }
        csqlite_result_text_transient(context, rest.baseAddress, UInt64(rest.count))
    }

    /// False when the search was interrupted.
    private func trim(_ rest: inout UnsafeRawBufferPointer, _ set: TrimSet, atEnd: Bool) -> Bool {
        var work = 0
        while true {
            let length = set.matchLength(in: rest, atEnd: atEnd, work: &work)
            if length == 0 { return true }
            rest = UnsafeRawBufferPointer(rebasing: atEnd ? rest.dropLast(length) : rest.dropFirst(length))
            if work >= ByteSearch.bytesPerLook {
                work = 0
                if shouldStop { return false }
            }
        }
    }
}

// MARK: - json_patch(T, P)

/// SQLite's own `json_patch`, on a connection that does not replace it.
final class JSONPatch {
    /// Bytes of one argument times bytes of the other: each key of the patch is searched among all keys of the target,
    /// which takes about a second at this size.
    static let maxByteProduct = 1 << 35

    private let connection: Connection
    private let statement: Statement

    init() throws(SQLiteError) {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        statement = try connection.prepare("SELECT json_patch(?1, ?2)", persistent: true)
    }

    /// Runs the function and passes the result, or the error, to the call of `context`.
    fileprivate func call(_ context: OpaquePointer, _ target: OpaquePointer?, _ patch: OpaquePointer?) {
        defer {
            statement.reset()
            sqlite3_clear_bindings(statement.handle)
        }
        sqlite3_bind_value(statement.handle, 1, target)
        sqlite3_bind_value(statement.handle, 2, patch)
        guard sqlite3_step(statement.handle) == SQLITE_ROW else {
            sqlite3_result_error(context, sqlite3_errmsg(connection.handle), -1)
            return
        }
        sqlite3_result_value(context, sqlite3_column_value(statement.handle, 0))
        // The subtype that marks a text as JSON: sqlite.org/json1.html#interface_overview
        sqlite3_result_subtype(context, UInt32(UInt8(ascii: "J")))
    }
}

extension FunctionCall {
    fileprivate func patchJSON() {
        let (target, patch) = (Int(sqlite3_value_bytes(arguments[0])), Int(sqlite3_value_bytes(arguments[1])))
        guard patch == 0 || target <= JSONPatch.maxByteProduct / patch else {
            let message =
                "json_patch(): the arguments have \(target) and \(patch) bytes, of which the product may be "
                + "\(JSONPatch.maxByteProduct)"
            return sqlite3_result_error(context, message, -1)
        }
        do throws(SQLiteError) {
            if hooks?.jsonPatch == nil { hooks?.jsonPatch = try JSONPatch() }
            hooks?.jsonPatch?.call(context, arguments[0], arguments[1])
        } catch {
            sqlite3_result_error(context, error.message, -1)
        }
    }
}
