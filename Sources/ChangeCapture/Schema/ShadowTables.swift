import SQLiteConnection
import Synchronization

/// Determines the tables in which a virtual table's module stores its content.
///
/// SQLite recognizes shadow tables by their name alone. But `note_content` beside `CREATE VIRTUAL TABLE note USING
/// fts5(t, content='note_content')` is a user table. A module's tables depend on its arguments, so the module itself
/// decides: the same virtual table is created in an empty in-memory database.
enum ShadowTables {
    /// The maximum number of cached virtual tables; a schema that changes constantly must not fill the memory.
    private static let maxCachedStatements = 1_000

    /// Keyed by the `CREATE` statement of the virtual table and the names of the candidates.
    private static let cache = Mutex<[[SQLName]: Set<SQLName>]>([:])

    /// The candidates that the module creates itself; SQLite treats all candidates as shadow tables of `virtual`.
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
            // FTS4 reads the columns of its content table when it is created without columns.
            return candidates.filter { candidate in
                do throws(SQLiteError) {
                    _ = try names(after: [candidate.description.sql, sql])
                    return false
                } catch {
                    // The module creates the table itself, or is missing here: then the name decides, as in SQLite.
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
    /// Records the owner of each shadow table.
    ///
    /// - Parameter names: the tables that SQLite treats as shadow tables. Such a table is named after its virtual
    ///   table, an underscore and the module's own suffix.
    mutating func markShadows(named names: Set<SQLName>) {
        let virtualTables = names.isEmpty ? [] : tables.values.filter { $0.description.kind == .virtual }
        var candidates: [SQLName: [Table]] = [:]
        for name in names {
            guard let table = tables[name], let owner = Self.owner(of: name, among: virtualTables) else { continue }
            candidates[owner.name, default: []].append(table)
        }
        var owners: [SQLName: SQLName] = [:]
        for (owner, candidates) in candidates {
            guard let virtual = tables[owner] else { continue }
            for name in ShadowTables.made(by: virtual, among: candidates) { owners[name] = owner }
        }
        for (name, table) in tables where table.isShadow || !owners.isEmpty {
            guard table.shadowOwner != owners[name] else { continue }
            tables[name] = table.with(
                rootPage: table.rootPage,
                objects: table.objects,
                shadowOwner: owners[name]
            )
        }
    }

    /// The longest name wins: `a_b_data` can belong to `a_b`, and not to `a`.
    private static func owner(of name: SQLName, among virtualTables: [Table]) -> Table? {
        let utf8 = name.string.utf8
        return
            virtualTables
            .filter { candidate in
                let prefix = candidate.description.name.utf8
                return utf8.count > prefix.count + 1
                    && SQLName.areEqualIgnoringCase(utf8.prefix(prefix.count), prefix)
                    && utf8.dropFirst(prefix.count).first == UInt8(ascii: "_")
            }
            .max { $0.description.name.utf8.count < $1.description.name.utf8.count }
    }
}
