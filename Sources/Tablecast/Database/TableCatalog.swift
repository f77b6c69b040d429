import ChangeCapture
import SQLiteConnection
import WireProtocol

/// The content of the database: the responses of `GET /tables` and `GET /tables/{name}`.
///
/// Uses its own connection and blocks: do not call it on an event loop.
struct TableCatalog {
    /// The time limit of one response: a schema can make SQLite evaluate expressions.
    private static let maxDuration = Duration.seconds(2)

    private let connection: Connection

    init(path: String) throws(SQLiteError) {
        connection = try EvaluationPolicy().openReader(path: path)
        connection.setBusyTimeout(.seconds(2))
    }

    /// `{"tables":[{"name","kind","rowEstimate"?}]}`, by name. Shadow tables and SQLite's own are left out.
    ///
    /// - Parameter hasEstimate: whether the number of rows may be known.
    func list(
        where isListed: (String) -> Bool,
        hasEstimate: (String) -> Bool = { _ in true }
    ) throws(SQLiteError) -> [UInt8] {
        try connection.withDeadline(Self.maxDuration) { () throws(SQLiteError) in try makeList(isListed, hasEstimate) }
    }

    private func makeList(
        _ isListed: (String) -> Bool,
        _ hasEstimate: (String) -> Bool
    ) throws(SQLiteError) -> [UInt8] {
        let tables = try SchemaSnapshot.load(from: connection).visibleTables.sorted { $0.name < $1.name }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("tables")
        writer.beginArray()
        for table in tables {
            let (name, kind) = (table.description.name, table.description.kind.rawValue)
            guard isListed(name) else { continue }
            writer.beginObject()
            writer.field("name", name)
            writer.field("kind", kind)
            writer.field("rowEstimate", hasEstimate(name) ? rowEstimate(name, kind: kind) : nil)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    /// Everything about one table; nil when there is none of that name, ignoring case as in SQL.
    ///
    /// - Parameters:
    ///   - isKnown: the tables that may be named; nil for all. With a restriction the result has no SQL, which could name
    ///     others, and no foreign key to another table.
    ///   - hasEstimate: whether the number of rows may be known.
    /// - Throws: ``UnusableTable``, or SQLite's error for the file.
    func describe(
        _ name: String,
        isKnown: ((String) -> Bool)? = nil,
        hasEstimate: Bool = true
    ) throws -> [UInt8]? {
        let found = try connection.query(
            """
            SELECT l.name, l.type, l.wr, l.strict, s.sql FROM pragma_table_list AS l
            LEFT JOIN sqlite_schema AS s ON s.name = l.name AND s.type IN ('table', 'view')
            WHERE l.schema = 'main' AND l.name = ? COLLATE NOCASE
            """,
            [.text(name)]
        )
        guard let table = found.first, case .text(let name) = table[0], case .text(var kind) = table[1] else {
            return nil
        }
        // SQLite decides by the name alone, and a user table can have such a name.
        if kind == "shadow", try SchemaSnapshot.load(from: connection)[name]?.isShadow == false { kind = "table" }
        do throws(SQLiteError) {
            return try connection.withDeadline(Self.maxDuration) { () throws(SQLiteError) in
                try describe(name, kind: kind, table, isKnown, hasEstimate)
            }
        } catch {
            guard error.code.primary == .error else { throw error }
            let reason = isKnown == nil ? error.message : "its definition does not fit the database"
            throw UnusableTable(name: name, kind: kind, reason: reason)
        }
    }

    private func describe(
        _ name: String,
        kind: String,
        _ table: [SQLiteValue],
        _ isKnown: ((String) -> Bool)?,
        _ hasEstimate: Bool
    ) throws(SQLiteError) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.field("name", name)
        writer.field("kind", kind)
        writer.field("withoutRowid", table[2] == .integer(1))
        writer.field("strict", table[3] == .integer(1))
        writer.field("rowEstimate", hasEstimate ? rowEstimate(name, kind: kind) : nil)
        if isKnown == nil, case .text(let sql) = table[4] { writer.field("sql", sql) }
        try write("columns", of: name, Self.columns, to: &writer)
        try writeIndexes(of: name, withSQL: isKnown == nil, to: &writer)
        try write("foreignKeys", of: name, Self.foreignKeys, to: &writer) { row in
            guard let isKnown, case .text(let parent) = row[2] else { return true }
            return isKnown(parent)
        }
        try write("triggers", of: name, isKnown == nil ? Self.triggers : Self.triggerNames, to: &writer)
        writer.endObject()
        return writer.bytes
    }

    /// The approximate number of rows, without counting them: the value from `ANALYZE`, otherwise the highest rowid,
    /// which is at least the number of rows unless rowids are negative. Nil when neither is available.
    private func rowEstimate(_ name: String, kind: String) -> Int64? {
        guard kind == "table" else { return nil }
        if let rows = try? connection.query(
            "SELECT CAST(stat AS INTEGER) FROM sqlite_stat1 WHERE tbl = ? AND stat IS NOT NULL LIMIT 1",
            [.text(name)]
        ), case .integer(let estimate)? = rows.first?.first {
            return estimate
        }
        // Fails for a WITHOUT ROWID table.
        guard let rowid = rowidName(of: name),
            let rows = try? connection.query("SELECT max(\(rowid)) FROM \(name.quotedAsIdentifier)"),
            let highest = rows.first?.first
        else { return nil }
        switch highest {
        case .integer(let rowid): return max(rowid, 0)
        case .null: return 0
        default: return nil
        }
    }

    /// The name by which SQL reads the rowid; nil when columns have taken all of its names. A generated column with
    /// such a name would be computed for every row.
    private func rowidName(of table: String) -> String? {
        // When the columns are unknown, no name is safe.
        guard let rows = try? connection.query("SELECT lower(name) FROM pragma_table_xinfo(?)", [.text(table)]) else {
            return nil
        }
        let columns = rows.compactMap { if case .text(let name)? = $0.first { name } else { nil } }
        return ["rowid", "_rowid_", "oid"].first { !columns.contains($0) }
    }
}

// MARK: - The parts of a description

extension TableCatalog {
    private static let columns = """
        SELECT name, type, "notnull" AS "notNull", pk AS "primaryKey", dflt_value AS "default",
            CASE hidden WHEN 2 THEN 'virtual' WHEN 3 THEN 'stored' END AS generated,
            CASE hidden WHEN 1 THEN 1 END AS hidden
        FROM pragma_table_xinfo(?)
        """
    private static let foreignKeys = """
        SELECT id, seq, "table", "from", "to", on_update AS "onUpdate", on_delete AS "onDelete" FROM pragma_foreign_key_list(?)
        """
    private static let triggerNames =
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"
    private static let triggers =
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"

    /// Writes the rows of a query as objects without NULLs; columns with flags as true and false.
    private func write(
        _ field: StaticString,
        of table: String,
        _ sql: String,
        to writer: inout JSONWriter,
        where isIncluded: ([SQLiteValue]) -> Bool = { _ in true }
    ) throws(SQLiteError) {
        writer.key(field)
        writer.beginArray()
        var statement = try connection.prepare(sql)
        try statement.bind(.text(table), at: 1)
        while try statement.step() {
            guard isIncluded((0..<statement.columnCount).map { statement.value($0) }) else { continue }
            writer.beginObject()
            for column in 0..<statement.columnCount {
                let name = statement.columnName(column)
                let value = statement.value(column)
                if value == .null { continue }
                writer.key(escaping: name)
                if name == "notNull" || name == "hidden" {
                    writer.bool(value == .integer(1))
                } else {
                    writer.value(WireValue(value))
                }
            }
            writer.endObject()
        }
        writer.endArray()
    }

    private func writeIndexes(
        of table: String,
        withSQL hasSQL: Bool,
        to writer: inout JSONWriter
    ) throws(SQLiteError) {
        let indexes = try connection.query(
            """
            SELECT l.name, l."unique", l.origin, l.partial, s.sql FROM pragma_index_list(?) AS l
            LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name
            """,
            [.text(table)]
        )
        writer.key("indexes")
        writer.beginArray()
        for index in indexes {
            guard case .text(let name) = index[0] else { continue }
            writer.beginObject()
            writer.field("name", name)
            writer.field("unique", index[1] == .integer(1))
            if case .text(let origin) = index[2] {
                writer.field("origin", origin == "pk" ? "primary key" : origin == "u" ? "unique constraint" : "index")
            }
            writer.field("partial", index[3] == .integer(1))
            if hasSQL, case .text(let sql) = index[4] { writer.field("sql", sql) }
            // An expression has no name.
            let columns = try connection.query("SELECT name FROM pragma_index_info(?)", [.text(name)])
            writer.field(
                "columns",
                columns.map { row in
                    if case .text(let column) = row[0] { column } else { "(expression)" }
                }
            )
            writer.endObject()
        }
        writer.endArray()
    }
}

extension TablecastService {
    /// Requests that wait for the catalogue's thread; further ones are refused.
    private static let maxWaitingReads = 64

    /// The tables, views and virtual tables that the identity may see, as JSON:
    /// `{"tables":[{"name","kind","rowEstimate"?}]}`.
    package func tables(for identity: Identity) async throws -> [UInt8] {
        try await readCatalogue { catalogue in
            try catalogue.list {
                identity.allows(table: $0)
            } hasEstimate: {
                !identity.rules.hasRule(for: $0)
            }
        }
    }

    /// The columns, indexes, keys and triggers of one table as JSON; nil when there is none of that name.
    ///
    /// - Throws: `FORBIDDEN` for a table that the identity may not see, whether it exists or not; ``UnusableTable`` for
    ///   an existing one that SQLite cannot use.
    package func describeTable(_ name: String, for identity: Identity) async throws -> [UInt8]? {
        try identity.require(table: name)
        return try await readCatalogue { catalogue in
            try catalogue.describe(
                name,
                isKnown: identity.tables.map { _ in { identity.allows(table: $0) } },
                hasEstimate: !identity.rules.hasRule(for: name)
            )
        }
    }

    private func readCatalogue<Value: Sendable>(
        _ body: @escaping @Sendable (TableCatalog) throws -> Value
    ) async throws -> Value {
        guard catalogue.waitingCount < Self.maxWaitingReads else {
            throw ProtocolError(
                .tooManyQueries,
                "\(Self.maxWaitingReads) requests for the schema are waiting, which is the limit"
            )
        }
        let path = configuration.path
        // A connection for each request: it opens the file that has the name now.
        return try await catalogue.run { _ in try body(TableCatalog(path: path)) }
    }
}
