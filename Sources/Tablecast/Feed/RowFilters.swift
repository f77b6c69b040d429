package import ChangeCapture
package import LiveQueries
import SQLiteConnection
import Synchronization
package import WireProtocol

/// Evaluates the conditions of subscriptions to tables. Thread-safe.
///
/// It tracks the tables from the feed, so that a condition can be checked without reading the database.
package final class RowFilters: Sendable {
    fileprivate struct State {
        var tables: [SQLName: TableDescription] = [:]
        /// Each with the table for which it was made.
        var compiled: [SQLName: RowFilterTable] = [:]
    }

    private let state = Mutex(State())

    private let limits: LiveLimits

    package init(limits: LiveLimits = LiveLimits()) { self.limits = limits }

    /// Reads the tables, initially and when the known ones are no longer valid.
    package func load(from path: String) {
        let known = try? Self.read(path)
        // Filters on unknown tables are refused; the next epoch reads the tables again.
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

    /// The tables as the feed knows them.
    package var tables: [TableDescription] { state.withLock { Array($0.tables.values) } }

    /// Replaces the known tables.
    package func replaceTables(_ tables: [TableDescription]) {
        state.withLock { state in
            state.compiled = [:]
            state.tables = [:]
            for table in tables { state.tables[SQLName(table.name).caseFolded] = table }
        }
    }

    /// Updates the tables with the schema changes of a transaction.
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

    /// Throws: the error of the filter's condition, with its position.
    package func check(_ filter: TableFilter) throws(ProtocolError) {
        try checkRules(of: filter)
        guard let condition = filter.condition, let name = filter.tables?.first else { return }
        let result = state.withLock { state in
            Result { () throws(ProtocolError) in
                guard let table = state.tables.values.first(where: { filter.includes(table: $0.name) }) else {
                    throw ProtocolError(
                        .invalidMessage,
                        "tables: there is no table \(quoted(name)), to which where refers"
                    )
                }
                do throws(LiveRefusal) {
                    try state.filter(for: table, limits).check(LiveQueries.RowCondition(condition))
                } catch {
                    let place = error.offset.map { " (at byte \($0))" } ?? ""
                    throw ProtocolError(ErrorCode(error.code), "where: \(error.reason)\(place)")
                }
            }
        }
        try result.get()
    }

    /// Rules that do not fit their tables: nothing would be sent but that rows have changed.
    private func checkRules(of filter: TableFilter) throws(ProtocolError) {
        guard !filter.rules.isEmpty else { return }
        let result = state.withLock { state in
            Result { () throws(ProtocolError) in
                for table in state.tables.values where filter.includes(table: table.name) {
                    guard let rule = filter.rule(for: table.name) else { continue }
                    do throws(LiveRefusal) {
                        try state.filter(for: table, limits).check(LiveQueries.RowCondition(rule.condition))
                    } catch {
                        throw ProtocolError(
                            .forbidden,
                            "the row rule of the table \(quoted(table.name)) does not fit it: \(error.reason)"
                        )
                    }
                }
            }
        }
        try result.get()
    }

    /// The rows of a transaction that a rule lets a subscriber see, as if no others existed: a row that begins to match is
    /// inserted, one that ends to match is deleted.
    ///
    /// - Returns: nil when it is unknown which rows match.
    func permitted(_ rows: TableRows, by rule: TableRule) -> TableRows? {
        let filtered = evaluate(rows, rule.condition)
        guard !filtered.isUnknown else { return nil }
        var permitted = rows
        permitted.rows = filtered.entries.map(\.change)
        permitted.inserted = permitted.rows.count { $0.operation == .insert }
        permitted.updated = permitted.rows.count { $0.operation == .update }
        permitted.deleted = permitted.rows.count { $0.operation == .delete }
        return permitted
    }

    /// The rows of a transaction that the condition selects.
    func evaluate(_ rows: TableRows, _ condition: WireProtocol.RowCondition) -> FilteredRows {
        let condition = LiveQueries.RowCondition(condition)
        return state.withLock { state in
            do throws(LiveRefusal) {
                return try state.filter(for: rows.table, limits).evaluate(rows, [condition])[condition] ?? .unknown
            } catch {
                // The table has changed since the condition was checked: the client is only notified that rows changed.
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

    fileprivate mutating func filter(for table: TableDescription, _ limits: LiveLimits) throws(LiveRefusal)
        -> RowFilterTable
    {
        let name = SQLName(table.name).caseFolded
        if let known = compiled[name], known.description == table { return known }
        let made = try RowFilterTable(table, limits: limits)
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
