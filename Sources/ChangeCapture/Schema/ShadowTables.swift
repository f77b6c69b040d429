import SQLiteConnection
import Synchronization

/// Tells which tables a virtual table's module made to keep its content in.
///
/// SQLite takes a table for a shadow table by its name alone. But `note_content` beside `CREATE VIRTUAL TABLE note USING
/// fts5(t, content='note_content')` is a table of the user. Which tables a module makes depends on its arguments, so the
/// module is asked: the same virtual table is created in an empty database in memory.
enum ShadowTables {
    /// Of virtual tables; a schema that changes forever does not fill the memory.
    private static let maxCachedStatements = 1_000

    /// By the `CREATE` statement of the virtual table and the names of the candidates.
    private static let cache = Mutex<[[SQLName]: Set<SQLName>]>([:])

    /// The candidates, tables that SQLite takes for shadow tables of `virtual`, that its module makes itself.
    static func made(
        by virtual: SchemaSnapshot.Table,
        among candidates: [SchemaSnapshot.Table]
    ) -> Set<SQLName> {
        let key = [SQLName(virtual.description.sql)] + candidates.map(\.name).sorted()
        if let known = cache.withLock({ $0[key] }) { return known }
        let made = Set(candidates.map(\.name)).intersection(find(virtual.description.sql, candidates))
        cache.withLock { cache in
            if cache.count >= maxCachedStatements { cache.removeAll() }
            cache[key] = made
        }
        return made
    }

    private static func find(_ sql: String, _ candidates: [SchemaSnapshot.Table]) -> [SQLName] {
        do throws(SQLiteError) {
            let tables = Set(try names(after: [sql]).map(\.caseFolded))
            return candidates.map(\.name).filter { tables.contains($0.caseFolded) }
        } catch {
            // FTS4 reads the columns of its content table when it is created without any.
            return candidates.filter { candidate in
                do throws(SQLiteError) {
                    _ = try names(after: [candidate.description.sql, sql])
                    return false
                } catch {
                    // The module makes the table itself, or cannot be asked here: then the name decides, as for SQLite.
                    return true
                }
            }.map(\.name)
        }
    }

    /// The tables of an empty database after these statements.
    private static func names(after statements: [String]) throws(SQLiteError) -> [SQLName] {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        for statement in statements { try connection.execute(statement) }
        var tables = try connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        var names: [SQLName] = []
        while try tables.step() { names.append(SQLName(tables.text(0) ?? "")) }
        return names
    }
}

extension SchemaSnapshot {
    /// Notes the owner of each shadow table.
    ///
    /// - Parameter names: the tables that SQLite takes for shadow tables. Such a table is named after its virtual table, an
    ///   underscore and the module's own suffix.
    mutating func markShadows(named names: Set<SQLName>) {
        for name in tables.keys { tables[name]?.shadowOwner = nil }
        if names.isEmpty { return }
        var candidates: [SQLName: [Table]] = [:]
        for name in names {
            guard let table = tables[name], let owner = virtualTable(namedAtTheBeginningOf: name) else { continue }
            candidates[owner, default: []].append(table)
        }
        for (owner, candidates) in candidates {
            guard let virtual = tables[owner] else { continue }
            for name in ShadowTables.made(by: virtual, among: candidates) { tables[name]?.shadowOwner = owner }
        }
    }

    /// The longest name counts: `a_b_data` can be of `a_b`, and not of `a`.
    private func virtualTable(namedAtTheBeginningOf name: SQLName) -> SQLName? {
        let utf8 = name.string.utf8
        return tables.keys
            .filter { candidate in
                let prefix = candidate.string.utf8
                return tables[candidate]?.description.kind == .virtual && utf8.count > prefix.count + 1
                    && SQLName.areEqualIgnoringCase(utf8.prefix(prefix.count), prefix)
                    && utf8.dropFirst(prefix.count).first == UInt8(ascii: "_")
            }
            .max { $0.string.utf8.count < $1.string.utf8.count }
    }
}
