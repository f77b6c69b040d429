import CSQLite

/// What an auxiliary function fails with: a result code of SQLite's.
struct TextSearchFailure: Error {
    let code: Int32
    var message: String?
}

/// One call of an auxiliary function of FTS5, for the row that its cursor is at; valid within it alone.
///
/// Source: [Custom Auxiliary Functions API Reference](https://sqlite.org/fts5.html#custom_auxiliary_functions_api_reference).
struct TextSearchCall {
    /// Steps of a loop between two looks at the deadline: less than a millisecond.
    private static let stepsPerLook = 4_096

    let context: OpaquePointer
    private let api: UnsafePointer<Fts5ExtensionApi>
    private let row: OpaquePointer
    private let values: UnsafeBufferPointer<OpaquePointer?>
    private let hooks: Hooks?
    private var stepsUntilLook = TextSearchCall.stepsPerLook

    init?(
        _ api: UnsafePointer<Fts5ExtensionApi>?,
        _ row: OpaquePointer?,
        _ context: OpaquePointer?,
        _ valueCount: Int32,
        _ values: UnsafeMutablePointer<OpaquePointer?>?
    ) {
        guard let api, let row, let context else { return nil }
        self.api = api
        self.row = row
        self.context = context
        self.values = UnsafeBufferPointer(start: values, count: values == nil ? 0 : Int(valueCount))
        hooks = Hooks.from(api.pointee.xUserData?(row))
    }

    /// Runs `body`, and makes what it throws the function's error.
    func run(_ body: (inout TextSearchCall) throws(TextSearchFailure) -> Void) {
        var call = self
        do {
            try body(&call)
        } catch {
            if let message = error.message {
                sqlite3_result_error(context, message, -1)
            } else {
                sqlite3_result_error_code(context, error.code)
            }
        }
    }

    // MARK: The deadline

    /// To be called in every loop over matches, tokens or rows.
    mutating func step() throws(TextSearchFailure) {
        stepsUntilLook -= 1
        guard stepsUntilLook <= 0 else { return }
        stepsUntilLook = Self.stepsPerLook
        if hooks?.progress?() == .interrupt { throw TextSearchFailure(code: SQLITE_INTERRUPT) }
    }

    // MARK: Arguments, behind the table

    var valueCount: Int { values.count }

    func integer(_ index: Int) -> Int { Int(sqlite3_value_int(values[index])) }

    func double(_ index: Int) -> Double { sqlite3_value_double(values[index]) }

    /// Nil for NULL. Ends at the first zero byte, as FTS5 reads it.
    func text(_ index: Int) -> UnsafeRawBufferPointer? {
        guard let bytes = sqlite3_value_text(values[index]) else { return nil }
        return UnsafeRawBufferPointer(
            start: bytes,
            count: strlen(UnsafeRawPointer(bytes).assumingMemoryBound(to: CChar.self))
        )
    }

    // MARK: The row and the query

    private func check(_ code: Int32?) throws(TextSearchFailure) {
        guard code == SQLITE_OK else { throw TextSearchFailure(code: code ?? SQLITE_ERROR) }
    }

    var columnCount: Int { Int(api.pointee.xColumnCount?(row) ?? 0) }
    var phraseCount: Int { Int(api.pointee.xPhraseCount?(row) ?? 0) }

    func phraseSize(_ phrase: Int) -> Int { Int(api.pointee.xPhraseSize?(row, Int32(phrase)) ?? 0) }

    /// The text of a column of the row; nil for NULL.
    func columnText(_ column: Int) throws(TextSearchFailure) -> UnsafeRawBufferPointer? {
        var bytes: UnsafePointer<CChar>?
        var count: Int32 = 0
        try check(api.pointee.xColumnText?(row, Int32(column), &bytes, &count))
        return bytes.map { UnsafeRawBufferPointer(start: $0, count: Int(count)) }
    }

    /// Tokens of a column of the row, or of the whole row for -1.
    func tokenCount(column: Int) throws(TextSearchFailure) -> Int {
        var count: Int32 = 0
        try check(api.pointee.xColumnSize?(row, Int32(column), &count))
        return Int(count)
    }

    /// Calls `body` with each token but the synonyms of the one before.
    mutating func forEachToken(
        of text: UnsafeRawBufferPointer,
        _ body: (_ start: Int, _ end: Int) throws(TextSearchFailure) -> Void
    ) throws(TextSearchFailure) {
        var failure: TextSearchFailure?
        let code = withoutActuallyEscaping(body) { body in
            var visitor = TokenVisitor(call: self, body: body)
            defer {
                failure = visitor.failure
                self = visitor.call
            }
            return withUnsafeMutablePointer(to: &visitor) { visitor in
                api.pointee.xTokenize?(
                    row,
                    text.baseAddress?.assumingMemoryBound(to: CChar.self),
                    Int32(clamping: text.count),
                    visitor
                ) { context, flags, _, _, start, end in
                    if flags & FTS5_TOKEN_COLOCATED != 0 { return SQLITE_OK }
                    guard let visitor = context?.assumingMemoryBound(to: TokenVisitor.self) else { return SQLITE_ERROR }
                    return visitor.pointee.visit(Int(start), Int(end))
                }
            }
        }
        if let failure { throw failure }
        try check(code)
    }

    private struct TokenVisitor {
        var call: TextSearchCall
        let body: (Int, Int) throws(TextSearchFailure) -> Void
        var failure: TextSearchFailure?

        mutating func visit(_ start: Int, _ end: Int) -> Int32 {
            do {
                try call.step()
                try body(start, end)
                return SQLITE_OK
            } catch {
                failure = error
                return error.code
            }
        }
    }

    /// Calls `body` with the place of each match of a phrase in the row, in order.
    mutating func forEachMatch(
        of phrase: Int,
        _ body: (_ column: Int32, _ offset: Int32) throws(TextSearchFailure) -> Void
    ) throws(TextSearchFailure) {
        var iterator = Fts5PhraseIter()
        var column: Int32 = 0
        var offset: Int32 = 0
        try check(api.pointee.xPhraseFirst?(row, Int32(phrase), &iterator, &column, &offset))
        while column >= 0 {
            try step()
            try body(column, offset)
            api.pointee.xPhraseNext?(row, &iterator, &column, &offset)
        }
    }

    // MARK: The table

    func rowCount() throws(TextSearchFailure) -> Int64 {
        var count: Int64 = 0
        try check(api.pointee.xRowCount?(row, &count))
        return count
    }

    /// Tokens of all rows.
    func totalTokenCount() throws(TextSearchFailure) -> Int64 {
        var count: Int64 = 0
        try check(api.pointee.xColumnTotalSize?(row, -1, &count))
        return count
    }

    /// How many rows a phrase of the query is in.
    mutating func matchingRowCount(of phrase: Int) throws(TextSearchFailure) -> Int64 {
        var count = RowCounter(call: self)
        let code = withUnsafeMutablePointer(to: &count) { count in
            api.pointee.xQueryPhrase?(row, Int32(phrase), count) { _, _, context in
                guard let count = context?.assumingMemoryBound(to: RowCounter.self) else { return SQLITE_ERROR }
                count.pointee.rows += 1
                do throws(TextSearchFailure) {
                    try count.pointee.call.step()
                    return SQLITE_OK
                } catch {
                    return error.code
                }
            }
        }
        self = count.call
        try check(code)
        return count.rows
    }

    private struct RowCounter {
        var call: TextSearchCall
        var rows: Int64 = 0
    }

    /// Numbers that are kept for the other rows of the query; nil before ``keep(_:)``.
    var keptNumbers: UnsafePointer<Double>? {
        api.pointee.xGetAuxdata?(row, 0).map { UnsafePointer($0.assumingMemoryBound(to: Double.self)) }
    }

    func keep(_ numbers: [Double]) throws(TextSearchFailure) {
        let byteCount = numbers.count * MemoryLayout<Double>.stride
        guard let memory = sqlite3_malloc64(UInt64(byteCount)) else { throw TextSearchFailure(code: SQLITE_NOMEM) }
        numbers.withUnsafeBytes {
            memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: byteCount)
        }
        // FTS5 frees it, also when this fails.
        try check(api.pointee.xSetAuxdata?(row, memory) { sqlite3_free($0) })
    }
}
