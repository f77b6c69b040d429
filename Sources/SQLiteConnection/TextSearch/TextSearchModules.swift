import CSQLite
import Synchronization

/// FTS5, FTS3 and FTS4 with ``TextSearchLimits``.
///
/// SQLite has no interface that sees the right side of MATCH, be it a constant, a parameter or computed for each row of a
/// join, and none that replaces a module of its own: registering another one under its name frees what it needs. So a few
/// methods of the library's own modules are replaced, in place, for all connections of the process: they call the original,
/// with limits if the thread runs a query within a ``ResourceBudget``. Other threads, such as those of an application that uses
/// SQLite itself, are not limited.
///
/// Source: [The Virtual Table Mechanism](https://sqlite.org/vtab.html).
enum TextSearchModules {
    /// Whether all modules of the library are bounded; false where their memory cannot be made writable.
    static let areBounded: Bool = {
        // Before the first allocation that a limit should see.
        _ = HeapAccounting.isInstalled
        let areBounded = [install(.fts5, using: "fts5"), install(.fts3, using: "fts4")]
        return !areBounded.contains(false)
    }()

    /// The library's own methods. Written once, before they are replaced, and only read afterwards.
    nonisolated(unsafe) private static var fts5 = sqlite3_module()
    nonisolated(unsafe) private static var fts3 = sqlite3_module()

    typealias Cursor = UnsafeMutablePointer<sqlite3_vtab_cursor>
    typealias Values = UnsafeMutablePointer<OpaquePointer?>
    typealias Function = @convention(c) (OpaquePointer?, Int32, Values?) -> Void

    // MARK: Replacing

    /// Returns whether the module is bounded, or the library has none.
    private static func install(_ module: SearchBounds.Module, using name: String) -> Bool {
        do throws(SQLiteError) {
            let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
            guard try !connection.query("SELECT 1 FROM pragma_module_list WHERE name = ?1", [.text(name)]).isEmpty
            else {
                return true
            }
            try connection.execute("CREATE VIRTUAL TABLE search USING \(name) (x)")
            guard let methods = try methods(ofTable: "search", on: connection) else { return false }
            return ReadOnlyData.withWritable(methods) { methods in
                switch module {
                case .fts5: replaceFTS5(methods)
                case .fts3: replaceFTS3(methods)
                }
            }
        } catch {
            return false
        }
    }

    /// The methods of a virtual table's module: the address of the table, which `EXPLAIN` shows, leads to them
    /// ([sqlite3_vtab](https://sqlite.org/c3ref/vtab.html)).
    private static func methods(
        ofTable name: String,
        on connection: Connection
    ) throws(SQLiteError) -> UnsafePointer<sqlite3_module>? {
        let prefix = "vtab:"
        for instruction in try connection.query("EXPLAIN SELECT * FROM \(name)") {
            guard instruction.count > 5, instruction[1] == .text("VOpen"), case .text(let operand) = instruction[5],
                operand.hasPrefix(prefix), let address = UInt(operand.dropFirst(prefix.count), radix: 16),
                let methods = UnsafePointer<sqlite3_vtab>(bitPattern: address)?.pointee.pModule,
                (1...4).contains(methods.pointee.iVersion), methods.pointee.xFilter != nil
            else { continue }
            return methods
        }
        return nil
    }

    private static func replaceFTS5(_ methods: UnsafeMutablePointer<sqlite3_module>) {
        fts5 = methods.pointee
        methods.pointee.xFilter = { cursor, number, text, count, values in
            TextSearchModules.filter(.fts5, cursor, count, values) {
                TextSearchModules.fts5.xFilter?(cursor, number, text, count, values) ?? SQLITE_ERROR
            }
        }
        methods.pointee.xNext = { cursor in
            TextSearchModules.next(cursor) { TextSearchModules.fts5.xNext?(cursor) ?? SQLITE_ERROR }
        }
        methods.pointee.xClose = { cursor in
            TextSearchModules.forget(cursor)
            return TextSearchModules.fts5.xClose?(cursor) ?? SQLITE_ERROR
        }
    }

    private static func replaceFTS3(_ methods: UnsafeMutablePointer<sqlite3_module>) {
        fts3 = methods.pointee
        methods.pointee.xCreate = { connection, context, count, arguments, table, message in
            let create = TextSearchModules.fts3.xCreate
            let code = create?(connection, context, count, arguments, table, message) ?? SQLITE_ERROR
            if code == SQLITE_OK { TextSearchModules.name(table?.pointee, count, arguments) }
            return code
        }
        methods.pointee.xConnect = { connection, context, count, arguments, table, message in
            let connect = TextSearchModules.fts3.xConnect
            let code = connect?(connection, context, count, arguments, table, message) ?? SQLITE_ERROR
            if code == SQLITE_OK { TextSearchModules.name(table?.pointee, count, arguments) }
            return code
        }
        methods.pointee.xDisconnect = { table in
            TextSearchModules.forgetTable(table)
            return TextSearchModules.fts3.xDisconnect?(table) ?? SQLITE_ERROR
        }
        methods.pointee.xDestroy = { table in
            // The table stays where this fails.
            let former = TextSearchModules.forgetTable(table)
            let code = TextSearchModules.fts3.xDestroy?(table) ?? SQLITE_ERROR
            if code != SQLITE_OK { TextSearchModules.names.withLock { $0[UInt(bitPattern: table)] = former } }
            return code
        }
        methods.pointee.xFilter = { cursor, number, text, count, values in
            TextSearchModules.filter(.fts3, cursor, count, values) {
                TextSearchModules.fts3.xFilter?(cursor, number, text, count, values) ?? SQLITE_ERROR
            }
        }
        methods.pointee.xNext = { cursor in
            TextSearchModules.next(cursor) { TextSearchModules.fts3.xNext?(cursor) ?? SQLITE_ERROR }
        }
        methods.pointee.xClose = { cursor in
            TextSearchModules.forget(cursor)
            return TextSearchModules.fts3.xClose?(cursor) ?? SQLITE_ERROR
        }
        methods.pointee.xFindFunction = { table, count, name, function, context in
            let original = TextSearchModules.fts3.xFindFunction?(table, count, name, function, context) ?? 0
            guard original != 0, let name, let function, let found = function.pointee else { return original }
            TextSearchFunction.replace(String(cString: name), found).map { function.pointee = $0 }
            return original
        }
    }

    // MARK: Tables of FTS3 and FTS4

    /// The qualified name of each table, quoted, by the address of its object.
    private static let names = Mutex<[UInt: String]>([:])

    /// - Parameter arguments: the module, the database, the table, and the text of its definition.
    private static func name(
        _ table: UnsafeMutablePointer<sqlite3_vtab>?,
        _ count: Int32,
        _ arguments: UnsafePointer<UnsafePointer<CChar>?>?
    ) {
        guard let table, count > 2, let database = arguments?[1], let name = arguments?[2] else { return }
        let quoted = [database, name].map { String(cString: $0).quotedAsIdentifier }
        names.withLock { $0[UInt(bitPattern: table)] = quoted.joined(separator: ".") }
    }

    @discardableResult
    private static func forgetTable(_ table: UnsafeMutablePointer<sqlite3_vtab>?) -> String? {
        names.withLock { $0.removeValue(forKey: UInt(bitPattern: table)) }
    }

    /// Bytes of the row that a cursor is at; nil where its table does not store the text.
    static func rowBytes(at cursor: Cursor, on connection: OpaquePointer?) -> Int? {
        var rowid: Int64 = 0
        var statement: OpaquePointer?
        guard let name = names.withLock({ $0[UInt(bitPattern: cursor.pointee.pVtab)] }),
            fts3.xRowid?(cursor, &rowid) == SQLITE_OK,
            sqlite3_prepare_v2(connection, "SELECT * FROM \(name) WHERE docid = ?1", -1, &statement, nil) == SQLITE_OK
        else { return nil }
        defer { sqlite3_finalize(statement) }
        sqlite3_bind_int64(statement, 1, rowid)
        guard sqlite3_step(statement) == SQLITE_ROW else { return nil }
        let bytes = (0..<sqlite3_column_count(statement)).reduce(0) { $0 + Int(sqlite3_column_bytes(statement, $1)) }
        return bytes > 0 ? bytes : nil
    }

    // MARK: One search

    private struct Search {
        var bounds: SearchBounds
        /// Bytes of memory that the module has taken for the search.
        var heldBytes: Int
        /// Bytes that the thread held when this was counted.
        var threadBytes: Int
        /// Whether a limit of the search is below the one of its query. Otherwise its rows are not counted one by one.
        let isCounted: Bool

        /// Not less than what the module holds now. Where rows are not counted, what the thread has taken since may be of other
        /// parts of the query.
        func maxHeldBytes(_ budget: ResourceBudget) -> Int {
            isCounted ? heldBytes : heldBytes + max(budget.heapBytes - threadBytes, 0)
        }
    }

    /// The searches of queries, by the address of their cursor.
    private static let searches = Mutex<[UInt: Search]>([:])
    /// How many of them are counted. Most often none is, and rows cost nothing here.
    private static let countedCount = Atomic<Int>(0)

    private static func search(of cursor: Cursor?) -> Search? {
        searches.withLock { $0[UInt(bitPattern: cursor)] }
    }

    private static func keep(_ search: Search, of cursor: Cursor) {
        if search.isCounted { countedCount.wrappingAdd(1, ordering: .relaxed) }
        searches.withLock { $0[UInt(bitPattern: cursor)] = search }
    }

    @discardableResult
    private static func forget(_ cursor: Cursor?) -> Search? {
        let search = searches.withLock { $0.removeValue(forKey: UInt(bitPattern: cursor)) }
        if search?.isCounted == true { countedCount.wrappingSubtract(1, ordering: .relaxed) }
        return search
    }

    /// The number of terms of a cursor's search, and not less than the memory that its lists take.
    static func size(of cursor: Cursor, _ budget: ResourceBudget) -> (termCount: Int, heldBytes: Int)? {
        search(of: cursor).map { ($0.bounds.termCount, $0.maxHeldBytes(budget)) }
    }

    /// Begins a search and finds its first row.
    private static func filter(
        _ module: SearchBounds.Module,
        _ cursor: Cursor?,
        _ count: Int32,
        _ values: Values?,
        _ original: () -> Int32
    ) -> Int32 {
        let former = forget(cursor)
        guard let cursor, let budget = ResourceBudget.current, budget.isBounding else { return original() }
        var bounds = SearchBounds(module, budget.limits.textSearch)
        var isSearch = false
        for index in 0..<Int(count) {
            let value = values?[index]
            guard [SQLITE_TEXT, SQLITE_BLOB].contains(sqlite3_value_type(value)) else { continue }
            guard let bytes = sqlite3_value_text(value) else { return SQLITE_NOMEM }
            isSearch = true
            do {
                try bounds.add(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_value_bytes(value))))
            } catch {
                guard let table = cursor.pointee.pVtab else { return SQLITE_ERROR }
                sqlite3_free(table.pointee.zErrMsg)
                table.pointee.zErrMsg = csqlite_copy_message(error.message)
                return error.isSize ? SQLITE_TOOBIG : SQLITE_ERROR
            }
        }
        guard isSearch else { return original() }
        // The module frees the memory of the cursor's former search first.
        var search = Search(
            bounds: bounds,
            heldBytes: former?.maxHeldBytes(budget) ?? 0,
            threadBytes: 0,
            isCounted: bounds.maxPositionBytes < budget.limits.maxHeapBytes
        )
        let code = run(&search, budget, mayTake: bounds.maxPositionBytes, original)
        keep(search, of: cursor)
        return code
    }

    /// Finds the next row of a search.
    private static func next(_ cursor: Cursor?, _ original: () -> Int32) -> Int32 {
        guard countedCount.load(ordering: .relaxed) > 0, var search = search(of: cursor), search.isCounted,
            let budget = ResourceBudget.current, budget.isBounding
        else { return original() }
        let code = run(&search, budget, mayTake: search.bounds.maxPositionBytes - search.heldBytes, original)
        searches.withLock { $0[UInt(bitPattern: cursor)] = search }
        return code
    }

    private static func run(
        _ search: inout Search,
        _ budget: ResourceBudget,
        mayTake bytes: Int,
        _ original: () -> Int32
    ) -> Int32 {
        let before = budget.heapBytes
        let code = search.isCounted ? budget.searchingText(withHeap: bytes, original) : original()
        search.threadBytes = budget.heapBytes
        search.heldBytes = max(search.heldBytes + search.threadBytes - before, 0)
        return code
    }
}
