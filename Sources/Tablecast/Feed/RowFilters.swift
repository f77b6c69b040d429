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
        /// By table: what subscriptions asked about its last change.
        var asked: [SQLName: Asked] = [:]
    }

    /// The conditions that were evaluated on the last change of a table, or checked since.
    fileprivate struct Asked {
        /// The last change; nil before the first.
        var position: Position?
        var conditions: Set<LiveQueries.RowCondition> = []
    }

    /// The number of conditions of one table that are expected before its first change.
    private static let maxExpectedConditions = 20_000

    private let state = Mutex(State())

    private let limits: LiveLimits

    package init(limits: LiveLimits = LiveLimits()) { self.limits = limits }

    /// Reads the tables, initially and when the known ones are no longer valid.
    package func load(from path: String) {
        let known = try? Self.read(path)
        // Filters on unknown tables are refused; the next epoch reads the tables again.
        state.withLock { state in
            state.compiled = [:]
            state.asked = [:]
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
            state.asked = [:]
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

    /// - Throws: the error of the filter's condition, with its position.
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
                let condition = LiveQueries.RowCondition(condition)
                do throws(LiveRefusal) {
                    try state.filter(for: table, limits).check(condition)
                    state.expect(condition, of: table, atMost: Self.maxExpectedConditions)
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

    /// Why a rule has no effect but to refuse its table; nil when it fits.
    package func problem(with rule: TableRule) -> String? {
        state.withLock { state in
            guard let table = state.tables[SQLName(rule.table).caseFolded] else { return "there is no such table" }
            do throws(LiveRefusal) {
                try state.filter(for: table, limits).check(LiveQueries.RowCondition(rule.condition))
                return nil
            } catch {
                return error.reason
            }
        }
    }

    /// The rows of a transaction that a rule lets a subscriber see, as if no others existed: a row that begins to match is
    /// inserted, one that ends to match is deleted.
    ///
    /// - Parameters:
    ///   - position: of the transaction.
    ///   - results: of other rules and conditions on the same transaction, used and extended.
    /// - Returns: nil when it is unknown which rows match.
    func permitted(
        _ rows: TableRows,
        by rule: TableRule,
        at position: Position,
        _ results: inout RowFilterResults
    ) -> TableRows? {
        let filtered = evaluate(rows, rule.condition, at: position, &results)
        guard !filtered.isUnknown else { return nil }
        var permitted = rows
        permitted.rows = filtered.entries.map(\.change)
        permitted.inserted = permitted.rows.count { $0.operation == .insert }
        permitted.updated = permitted.rows.count { $0.operation == .update }
        permitted.deleted = permitted.rows.count { $0.operation == .delete }
        return permitted
    }

    /// The rows of a transaction that the condition selects, of all rows that it changed in the table.
    ///
    /// SQLite evaluates all conditions at once on each row that it has loaded: the first call for a transaction also evaluates
    /// those that subscriptions needed for the table's previous one. They will ask for them next.
    func evaluate(
        _ rows: TableRows,
        _ condition: WireProtocol.RowCondition,
        at position: Position,
        _ results: inout RowFilterResults
    ) -> FilteredRows {
        // Of a table that was renamed, a subscription may know nothing yet: it gets no rows, and the others do.
        guard rows.detail == .values, !rows.rowsOmitted, rows.countsAreKnown else { return .unknown }
        let condition = LiveQueries.RowCondition(condition)
        let name = SQLName(rows.table.name).caseFolded
        return state.withLock { state in
            if let known = results.found[name]?[condition] {
                state.asked[name]?.conditions.insert(condition)
                return known
            }
            let next = state.expected(of: name, at: position, condition)
            guard let filter = try? state.filter(for: rows.table, limits) else {
                // The table has changed since the condition was checked: the client is only notified that rows changed.
                return .unknown
            }
            var found = filter.evaluate(rows, next)
            let answer = found[condition] ?? .unknown
            // It may be only the time that all of them took.
            if next.count > 1, found.values.contains(where: \.isUnknown) {
                found = found.filter { !$0.value.isUnknown }
            }
            if results.found[name] == nil {
                results.found[name] = found
            } else {
                results.found[name]?.merge(found) { $1 }
            }
            return found[condition]
                ?? (next.count > 1 ? filter.evaluate(rows, [condition])[condition] ?? answer : answer)
        }
    }

    /// The rows of a transaction that the condition selects, of some of the rows.
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

/// The rows of one transaction that rules and conditions select, by table. Only for the rows of that transaction.
struct RowFilterResults: Sendable {
    fileprivate var found: [SQLName: [LiveQueries.RowCondition: FilteredRows]] = [:]
}

extension RowFilters.State {
    /// The conditions to evaluate now: with the one that is needed those that are expected to follow, if this is the first question
    /// about a new change of the table.
    fileprivate mutating func expected(
        of table: SQLName,
        at position: Position,
        _ condition: LiveQueries.RowCondition
    ) -> [LiveQueries.RowCondition] {
        let last = asked[table]
        // Of earlier transactions clients need single ones, when they resume.
        if let known = last?.position, known.epoch == position.epoch, position.sequence <= known.sequence {
            if position == known { asked[table]?.conditions.insert(condition) }
            return [condition]
        }
        asked[table] = RowFilters.Asked(position: position, conditions: [condition])
        return [condition] + (last?.conditions.filter { $0 != condition } ?? [])
    }

    /// A subscription with this condition may begin: then it is needed for the next change of the table.
    fileprivate mutating func expect(
        _ condition: LiveQueries.RowCondition,
        of table: TableDescription,
        atMost maxConditions: Int
    ) {
        let name = SQLName(table.name).caseFolded
        guard asked[name]?.conditions.count ?? 0 < maxConditions else { return }
        asked[name, default: RowFilters.Asked()].conditions.insert(condition)
    }

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

extension LiveQueries.RowCondition {
    init(_ condition: WireProtocol.RowCondition) {
        self.init(sql: condition.sql, parameters: LiveParameters(condition.parameters))
    }
}
