/// The tables that the virtual tables of a database use: their shadow tables, and those of others that they read, such as
/// the one that `content = 'note'` names to FTS5, or the index that `fts5vocab` lists.
///
/// SQLite calls the authorizer when a module compiles a statement, and modules keep their statements for the next client.
/// So an authorizer cannot protect what a module reads; the decision precedes the use of the virtual table.
package struct VirtualTables: Sendable {
    private struct Table {
        var name: String
        /// Those that the module creates itself.
        var shadows: Set<String>
        /// Tables and views of others that it reads, in lower case; nil when that could not be determined.
        var sources: Set<String>?
    }

    private var tables: [Table] = []

    /// The modules show what they do: each virtual table is created and read in an in-memory database.
    ///
    /// - Parameter original: reads its own schema during the call; its authorizer must allow everything.
    package init(of original: Connection) throws(SQLiteError) {
        let objects = try original.query(
            """
            SELECT name, sql, rootpage = 0 AND type = 'table' FROM main.sqlite_schema
            WHERE type IN ('table', 'view') AND sql IS NOT NULL ORDER BY type, rowid
            """
        ).compactMap { row -> (name: String, sql: String, isVirtual: Bool)? in
            guard case .text(let name) = row[0], case .text(let sql) = row[1] else { return nil }
            return (name, sql, row[2] == .integer(1))
        }
        guard objects.contains(where: \.isVirtual) else { return }
        let copy = try Connection(path: ":memory:", mode: .readWriteCreate)
        try EvaluationPolicy().apply(to: copy)
        // Before the other tables, where the module's own tables are missing.
        var pending: [(name: String, sql: String)] = []
        for object in objects where object.isVirtual {
            if !(try create(object.name, object.sql, on: copy)) { pending.append((object.name, object.sql)) }
        }
        for object in objects where !object.isVirtual {
            let isShadow = pending.contains { Self.folded(object.name).hasPrefix(Self.folded($0.name) + "_") }
            // Fails for what exists, and for what this library cannot create.
            if !isShadow { try? copy.execute(object.sql) }
        }
        // FTS4 reads the columns of its content table when it is created without columns.
        for (name, sql) in pending where !(try create(name, sql, on: copy)) {
            tables.append(Table(name: name, shadows: [], sources: nil))
        }
        for index in tables.indices { tables[index].sources = Self.sources(of: tables[index], on: copy) }
    }

    private mutating func create(_ name: String, _ sql: String, on copy: Connection) throws(SQLiteError) -> Bool {
        let before = try Self.names(copy)
        do { try copy.execute(sql) } catch { return false }
        var shadows = try Self.names(copy).subtracting(before)
        shadows.remove(name)
        tables.append(Table(name: name, shadows: shadows, sources: nil))
        return true
    }

    private static func names(_ copy: Connection) throws(SQLiteError) -> Set<String> {
        let rows = try copy.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return Set(rows.compactMap { row in if case .text(let name) = row[0] { name } else { nil } })
    }

    private static func sources(of table: Table, on copy: Connection) -> Set<String>? {
        var read: Set<String> = []
        copy.setAuthorizer { request in
            if request.action == .read, let name = request.first { read.insert(folded(name)) }
            return .allow
        }
        defer { copy.setAuthorizer(nil) }
        // A scan without rows makes the module compile what it reads.
        do { _ = try copy.query("SELECT * FROM main.\(table.name.quotedAsIdentifier)") } catch { return nil }
        return read.subtracting(table.shadows.map(folded)).subtracting([folded(table.name), "sqlite_master"])
    }

    private static func folded(_ name: String) -> String { SQLRowRules.folded(name) }

    /// The virtual tables through which more than the permitted tables could be read.
    package func forbidden(where mayRead: (_ table: String) -> Bool) -> [String] {
        var forbidden = Set(tables.filter { $0.sources?.allSatisfy(mayRead) != true }.map { Self.folded($0.name) })
        var count = -1
        // A virtual table can read another one.
        while forbidden.count != count {
            count = forbidden.count
            for table in tables where table.sources?.isDisjoint(with: forbidden) != true {
                forbidden.insert(Self.folded(table.name))
            }
        }
        return tables.map(\.name).filter { forbidden.contains(Self.folded($0)) }
    }

    /// The tables and views, in lower case, that a virtual table reads in addition to its own, other virtual tables included,
    /// and what those read; nil when that could not be determined.
    package func sources(of name: String) -> Set<String>? {
        var found: Set<String> = []
        var waiting = [Self.folded(name)]
        while let next = waiting.popLast() {
            guard let table = tables.first(where: { Self.folded($0.name) == next }) else { continue }
            guard let sources = table.sources else { return nil }
            for source in sources where found.insert(source).inserted {
                // What is read of another one's own tables is its content.
                waiting.append(owner(of: source) ?? source)
            }
        }
        return found
    }

    private func owner(of shadow: String) -> String? {
        tables.first { $0.shadows.contains { Self.folded($0) == shadow } }.map { Self.folded($0.name) }
    }

    /// The tables in which the modules store the content of the virtual tables that `includes` names.
    package func shadows(where includes: (_ table: String) -> Bool) -> [String] {
        tables.filter { includes($0.name) }.flatMap(\.shadows)
    }
}
