package import ChangeCapture
import LiveQueries
import SQLiteConnection
import Synchronization
package import WireProtocol

/// Evaluates the conditions of subscriptions to tables. Thread-safe.
///
/// Knows the tables as the feed says that they are, so that a condition can be checked without reading the database.
package final class RowFilters: Sendable {
    fileprivate struct State {
        var tables: [SQLName: TableDescription] = [:]
        /// With the table that each was made for.
        var compiled: [SQLName: RowFilterTable] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Reads the tables; again when what was known of them counts no more.
    package func load(from path: String) {
        let known = try? Self.read(path)
        // A table that is not known is refused; the next epoch reads them again.
        state.withLock { state in
            state.compiled = [:]
            state.tables = known ?? [:]
        }
    }

    private static func read(_ path: String) throws(SQLiteError) -> [SQLName: TableDescription] {
        let connection = try EvaluationPolicy().openReader(path: path)
        defer { connection.close() }
        connection.setBusyTimeout(.seconds(2))
        var tables: [SQLName: TableDescription] = [:]
        for table in try SchemaSnapshot.load(from: connection).visibleTables {
            tables[table.name.caseFolded] = table.description
        }
        return tables
    }

    /// Takes note of what a transaction did to the schema.
    package func note(_ changes: ChangeSet) {
        for case .schema(let change) in changes.events {
            state.withLock { state in
                switch change {
                case .created(let table): state.set(table)
                case .dropped(let table): state.remove(table.name)
                case .modified(let modification):
                    if let previous = modification.previousName { state.remove(previous) }
                    state.set(modification.table)
                }
            }
        }
    }

    /// - Throws: what is wrong with the filter's condition, and where.
    package func check(_ filter: TableFilter) throws(ProtocolError) {
        guard let condition = filter.condition, let name = filter.tables?.first else { return }
        let result = state.withLock { state in
            Result { () throws(ProtocolError) in
                guard let table = state.tables.values.first(where: { filter.includes(table: $0.name) }) else {
                    throw ProtocolError(
                        .invalidMessage,
                        "tables: there is no table \(quoted(name)) for where to be about"
                    )
                }
                do throws(LiveRefusal) {
                    try state.filter(for: table).check(LiveQueries.RowCondition(condition))
                } catch {
                    let place = error.offset.map { " (at byte \($0))" } ?? ""
                    throw ProtocolError(ErrorCode(error.code), "where: \(error.reason)\(place)")
                }
            }
        }
        try result.get()
    }

    /// What of a transaction's rows the condition selects.
    func evaluate(_ rows: TableRows, _ condition: WireProtocol.RowCondition) -> FilteredRows {
        let condition = LiveQueries.RowCondition(condition)
        return state.withLock { state in
            do throws(LiveRefusal) {
                return try state.filter(for: rows.table).evaluate(rows, [condition])[condition] ?? .unknown
            } catch {
                // The table has changed since the condition was checked: the client learns that rows changed.
                return .unknown
            }
        }
    }
}

extension RowFilters.State {
    fileprivate mutating func set(_ table: TableDescription) {
        tables[SQLName(table.name).caseFolded] = table
        compiled[SQLName(table.name).caseFolded] = nil
    }

    fileprivate mutating func remove(_ name: String) {
        tables[SQLName(name).caseFolded] = nil
        compiled[SQLName(name).caseFolded] = nil
    }

    fileprivate mutating func filter(for table: TableDescription) throws(LiveRefusal) -> RowFilterTable {
        let name = SQLName(table.name).caseFolded
        if let known = compiled[name], known.description == table { return known }
        let made = try RowFilterTable(table)
        compiled[name] = made
        return made
    }
}

extension FilteredRows {
    fileprivate static let unknown = FilteredRows(entries: [], isUnknown: true)
}

extension LiveQueries.RowCondition {
    init(_ condition: WireProtocol.RowCondition) {
        self.init(sql: condition.sql, parameters: LiveParameters(condition.parameters))
    }
}
