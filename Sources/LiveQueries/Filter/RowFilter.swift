package import ChangeCapture
import SQLiteConnection

/// Evaluates conditions on the rows that transactions change, as SQLite does: with the affinities and collations of the table's
/// columns, in a separate in-memory database with the same table.
///
/// All conditions on a table share it, so rows are loaded once for all of them. Use it on one thread at a time.
package final class RowFilterTable {
    /// The table's description when this object was created.
    package let description: TableDescription
    private let connection: Connection
    private let functions: FunctionCatalog
    private let deadline = Deadline()
    private let limits: LiveLimits
    /// The stored columns, as positions.
    private let stored: [Int]
    private let insert: KeptStatement
    private let clear: KeptStatement
    private var reads = ReadSet(.all)
    /// The table with its only row, as in a FROM clause. An index can have another encoding of an equal value.
    private let source: String
    /// By the bytes of the condition's SQL: conditions that differ only in parameters share a statement.
    private var compiled: [[UInt8]: CompiledCondition] = [:]
    /// Counts the uses of ``compiled``.
    private var uses: UInt64 = 0
    private static let maxCompiledConditions = 1_000

    /// Those that were evaluated last, and others: at most twice as many and ``maxCompiledConditions``, or before the first
    /// evaluation ``maxPreparedConditions``.
    private var prepared: [RowCondition: PreparedCondition] = [:]
    private static let maxPreparedConditions = 20_000
    /// For tests.
    var preparedCount: Int { prepared.count }
    private var lastNumber = 0
    /// By the conditions' numbers, divided by ``ConditionBatch/maxConditions``.
    private var batches: [Int: ConditionBatch] = [:]
    private var evaluations: UInt64 = 0

    /// The depth of an expression of a client, and what the expression of a batch adds to it.
    private static let (maxDepth, batchDepth) = (100, 20)

    /// - Parameter table: an ordinary table.
    package init(_ table: TableDescription, limits: LiveLimits = LiveLimits()) throws(LiveRefusal) {
        guard table.kind == .table else {
            throw LiveRefusal(
                .notLive,
                "\(table.name) is a \(table.kind.rawValue); only the rows of a table can be filtered"
            )
        }
        description = table
        self.limits = limits
        stored = table.columns.indices.filter { table.columns[$0].visibility == .normal }
        do throws(SQLiteError) {
            connection = try Connection(path: ":memory:", mode: .readWriteCreate)
            try EvaluationPolicy().apply(to: connection)
            LiveEvaluation.bound(connection)
            connection.setLimit(.expressionDepth, Self.maxDepth)
            connection.setLimit(.attachedDatabases, 0)
            deadline.install(on: connection)
            // CHECK constraints are ignored: the original table has accepted the rows.
            try connection.execute(
                "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON; PRAGMA temp_store=MEMORY"
            )
            try connection.execute(table.sql)
            functions = try FunctionCatalog(connection)
            let name = SQLName(table.name).quoted
            source = "main.\(name)\(table.hasRowid ? " NOT INDEXED" : "")"
            var columns = stored.map { SQLName(table.columns[$0].name).quoted }
            if table.rowidAlias == nil, let rowid = table.rowidName { columns.append(rowid) }
            let places = columns.map { _ in "?" }.joined(separator: ", ")
            insert = try KeptStatement(
                "INSERT OR REPLACE INTO main.\(name)(\(columns.joined(separator: ", "))) VALUES(\(places))",
                on: connection
            )
            clear = try KeptStatement("DELETE FROM main.\(name)", on: connection)
        } catch {
            throw LiveRefusal(.notLive, "the rows of \(table.name) cannot be filtered here: \(error.message)")
        }
    }

    // MARK: Conditions

    /// Checks a condition and prepares it.
    ///
    /// - Throws: an error with its position in the condition's SQL.
    package func check(_ condition: RowCondition) throws(LiveRefusal) {
        if prepared.count >= Self.maxPreparedConditions { forgetOthers(than: []) }
        _ = try prepare(condition)
    }

    private func prepare(_ condition: RowCondition) throws(LiveRefusal) -> PreparedCondition {
        if let known = prepared[condition] { return known }
        let new = try PreparedCondition(condition, try compile(condition.sql), number: lastNumber + 1)
        try Self.refuse(
            TimeDependence(condition.sql, SQLLexer.tokens(condition.sql), values: new.values, on: connection),
            "filter"
        )
        lastNumber += 1
        prepared[condition] = new
        return new
    }

    private func compile(_ sql: String) throws(LiveRefusal) -> CompiledCondition {
        uses += 1
        let key = Array(sql.utf8)
        if let known = compiled[key] {
            known.lastUse = uses
            return known
        }
        try checkExpression(sql)
        let kept: KeptStatement
        do throws(SQLiteError) {
            kept = try withBatchDepth { () throws(SQLiteError) in
                try KeptStatement("SELECT \(CompiledCondition.term(sql)) FROM \(source)", on: connection)
            }
        } catch {
            throw LiveRefusal(error)
        }
        let new = CompiledCondition(sql, SQLLexer.tokens(sql), kept, lastUse: uses)
        makeRoomForCondition()
        compiled[key] = new
        return new
    }

    /// Checks that the text is a condition as in a WHERE clause, where aggregates are refused, and that its value depends only
    /// on the row.
    private func checkExpression(_ sql: String) throws(LiveRefusal) {
        try Self.checkText(sql, subject: "filter", maxBytes: limits.maxSQLBytes)
        // On separate lines, so that a comment at the end of the condition does not swallow the parenthesis.
        let head = "SELECT 1 FROM main.\(SQLName(description.name).quoted) WHERE (\n"
        reads = ReadSet(.all)
        connection.setAuthorizer { [unowned self] in reads.note($0) }
        defer { connection.setAuthorizer(nil) }
        do {
            _ = try connection.prepare(head + sql + "\n)")
        } catch {
            var refusal = reads.refusal ?? LiveRefusal(error)
            refusal.offset = error.offset.map { max(0, min($0 - head.utf8.count, sql.utf8.count)) }
            throw refusal
        }
        for function in reads.functions.sorted() where functions.isVolatile(function) {
            let tokens = SQLLexer.tokens(sql)
            let place = tokens.first { SQLName($0.text).caseFolded.string == function }?.range.lowerBound
            throw LiveRefusal(
                .notLive,
                "\(function)() gives another value each time; a filter cannot use it",
                offset: place
            )
        }
    }

    /// Subscriptions come and go, so a condition is removed only when others need its place.
    private func makeRoomForCondition() {
        guard compiled.count >= Self.maxCompiledConditions,
            let oldest = compiled.min(by: { $0.value.lastUse < $1.value.lastUse })
        else { return }
        compiled[oldest.key] = nil
    }

    /// Rejects text that is more than one expression.
    ///
    /// - Parameter subject: what the expression is, for messages.
    static func checkText(_ sql: String, subject: String, maxBytes: Int) throws(LiveRefusal) {
        guard sql.utf8.count <= maxBytes else {
            throw LiveRefusal(.limit, "the \(subject) has \(sql.utf8.count) bytes; it may have \(maxBytes)")
        }
        let tokens = SQLLexer.tokens(sql)
        guard !tokens.isEmpty else {
            throw LiveRefusal(.sqlError, "the \(subject) is empty; an SQL expression is expected", offset: 0)
        }
        for token in tokens {
            if token.depth < 0 {
                throw LiveRefusal(.sqlError, "a parenthesis is closed that is not open", offset: token.range.lowerBound)
            }
            if token.kind == .symbol, token.text == ";" {
                throw LiveRefusal(
                    .sqlError,
                    "the \(subject) is more than one expression",
                    offset: token.range.lowerBound
                )
            }
            if token.kind == .word, ["SELECT", "VALUES", "WITH"].contains(token.text) {
                throw LiveRefusal(.notLive, "a \(subject) cannot have subqueries", offset: token.range.lowerBound)
            }
        }
        try refuse(TimeDependence(sql, tokens), subject)
    }

    private static func refuse(_ dependence: TimeDependence, _ subject: String) throws(LiveRefusal) {
        guard let found = dependence.place else { return }
        throw LiveRefusal(
            .notLive,
            "\(found.text) depends on the time; a \(subject) cannot use it: give the time as a parameter",
            offset: found.offset
        )
    }

    // MARK: Rows

    /// The rows of a transaction that each condition selects.
    ///
    /// Takes at most ``LiveLimits/maxStepTime``; conditions that are not evaluated by then are unknown.
    package func evaluate(_ rows: TableRows, _ conditions: [RowCondition]) -> [RowCondition: FilteredRows] {
        guard rows.detail == .values, !rows.rowsOmitted, rows.countsAreKnown else {
            return Dictionary(conditions.map { ($0, .unknown) }) { first, _ in first }
        }
        var results: [RowCondition: FilteredRows] = [:]
        results.reserveCapacity(conditions.count)
        var units = units(for: conditions, &results)
        deadline.start(limits.maxStepTime)
        defer { deadline.clear() }
        for change in rows.rows {
            // A short statement can end before the deadline interrupts it.
            let isLate = deadline.isOver
            let old = isLate ? nil : evaluate(change.before, rowid: change.rowid, units)
            let new = isLate ? nil : evaluate(change.after, rowid: change.rowid, units)
            guard let old, let new else {
                for unit in units.indices { units[unit].masks.markUnknown(.max) }
                break
            }
            for unit in units.indices {
                units[unit].masks.append(old: old[unit].holding, new: new[unit].holding)
                units[unit].masks.markUnknown(old[unit].unknown | new[unit].unknown)
            }
        }
        collect(units, rows.rows, &results)
        return results
    }

    /// Conditions that are evaluated by one statement.
    private struct Unit {
        var conditions: [PreparedCondition]
        /// Nil for a single condition.
        var batch: ConditionBatch?
        var masks = ConditionMasks()

        var all: UInt64 { conditions.count == 64 ? .max : (1 << UInt64(conditions.count)) - 1 }
    }

    private func units(
        for conditions: [RowCondition],
        _ results: inout [RowCondition: FilteredRows]
    ) -> [Unit] {
        evaluations += 1
        if prepared.count > 2 * conditions.count + Self.maxCompiledConditions { forgetOthers(than: conditions) }
        var alone: [PreparedCondition] = []
        var groups: [Int: [PreparedCondition]] = [:]
        for condition in conditions {
            // Each condition was checked when its subscription began.
            guard let prepared = try? prepare(condition) else {
                results[condition] = .unknown
                continue
            }
            guard prepared.lastEvaluation != evaluations else { continue }
            prepared.lastEvaluation = evaluations
            if prepared.isAlone {
                alone.append(prepared)
            } else {
                groups[prepared.number / ConditionBatch.maxConditions, default: []].append(prepared)
            }
        }
        var units: [Unit] = []
        for (number, group) in groups {
            if group.count > 1, let batch = batch(number, group) {
                units.append(Unit(conditions: batch.conditions, batch: batch))
            } else {
                alone += group
            }
        }
        return units + alone.map { Unit(conditions: [$0]) }
    }

    /// Numbers the conditions again, so that they are neighbours.
    private func forgetOthers(than conditions: [RowCondition]) {
        let wanted = conditions.compactMap { prepared[$0] }.sorted { $0.number < $1.number }
        prepared = [:]
        batches = [:]
        lastNumber = 0
        for known in wanted {
            guard let new = try? prepare(known.condition) else { continue }
            new.isAlone = known.isAlone
        }
    }

    /// The batch of these conditions, compiled again when they are others than last time; nil when that fails.
    private func batch(_ number: Int, _ conditions: [PreparedCondition]) -> ConditionBatch? {
        let sorted = conditions.sorted { $0.number < $1.number }
        if let known = batches[number], known.conditions.elementsEqual(sorted, by: ===) { return known }
        do {
            var members: [(PreparedCondition, CompiledCondition)] = []
            for condition in sorted { members.append((condition, try compile(condition.condition.sql))) }
            let new = try withBatchDepth { () throws(SQLiteError) in
                try ConditionBatch(members, from: source, on: connection)
            }
            batches[number] = new
            return new
        } catch {
            // Too large together: each is evaluated by itself.
            for condition in sorted { condition.isAlone = true }
            batches[number] = nil
            return nil
        }
    }

    /// Conditions were checked with the depth that a client's expression may have.
    private func withBatchDepth<R>(_ body: () throws(SQLiteError) -> R) throws(SQLiteError) -> R {
        connection.setLimit(.expressionDepth, Self.maxDepth + Self.batchDepth)
        defer { connection.setLimit(.expressionDepth, Self.maxDepth) }
        return try body()
    }

    private typealias Holding = (holding: UInt64, unknown: UInt64)

    /// Which conditions of each unit hold for the row; nil when the time is over. A missing row matches no condition.
    private func evaluate(_ row: Row?, rowid: Int64?, _ units: [Unit]) -> [Holding]? {
        guard let row else { return units.map { _ in (0, 0) } }
        do { try load(row, rowid: rowid) } catch { return units.map { (0, $0.all) } }
        var found: [Holding] = []
        found.reserveCapacity(units.count)
        for unit in units {
            if let batch = unit.batch, let holding = try? batch.holding() {
                found.append((holding, 0))
                continue
            }
            if deadline.isExceeded { return nil }
            // One of a batch has failed: which one it is decides each by itself.
            var (holding, unknown): Holding = (0, 0)
            for (place, condition) in unit.conditions.enumerated() {
                switch holds(condition) {
                case true?: holding |= 1 << UInt64(place)
                case false?: break
                case nil:
                    if deadline.isExceeded { return nil }
                    unknown |= 1 << UInt64(place)
                    condition.isAlone = true
                }
            }
            found.append((holding, unknown))
        }
        return found
    }

    /// Makes the row the only one of the table.
    private func load(_ row: Row, rowid: Int64?) throws(SQLiteError) {
        _ = try clear.statement.step()
        let values = row.values
        var place = 1
        for column in stored {
            try insert.statement.bind(column < values.count ? values[column] : .null, at: place)
            place += 1
        }
        if description.rowidAlias == nil, description.rowidName != nil, let rowid {
            try insert.statement.bind(.integer(rowid), at: place)
        }
        _ = try insert.statement.step()
    }

    /// Whether the condition holds for the row; nil when it cannot be evaluated on it.
    private func holds(_ condition: PreparedCondition) -> Bool? {
        // Each condition was checked when its subscription began.
        guard let compiled = try? compile(condition.condition.sql) else { return nil }
        if compiled.parameters != condition.condition.parameters {
            compiled.parameters = nil
            guard (try? compiled.statement.bind(condition.values)) != nil else { return nil }
            compiled.parameters = condition.condition.parameters
        }
        defer { compiled.statement.statement.reset() }
        guard (try? compiled.statement.statement.step()) == true else { return nil }
        return compiled.statement.statement.integer(0) != 0
    }

    // MARK: Results

    private func collect(
        _ units: [Unit],
        _ changes: [RowChange],
        _ results: inout [RowCondition: FilteredRows]
    ) {
        var selections: [[UInt8]: FilteredRows] = [:]
        for unit in units {
            var known: UInt64 = 0
            for group in unit.masks.groups(of: unit.all) {
                known |= group
                let holds = unit.masks.holds(group & ~(group - 1))
                let selected = selections[holds] ?? Self.select(changes, holds)
                selections[holds] = selected
                for (place, condition) in unit.conditions.enumerated() where group & (1 << UInt64(place)) != 0 {
                    results[condition.condition] = selected
                }
            }
            for (place, condition) in unit.conditions.enumerated() where known & (1 << UInt64(place)) == 0 {
                results[condition.condition] = .unknown
            }
        }
    }

    private static func select(_ changes: [RowChange], _ holds: [UInt8]) -> FilteredRows {
        var entries: [FilteredRows.Entry] = []
        for (place, change) in changes.enumerated() {
            if let entry = entry(change, at: place, holds[place] & 1 != 0, holds[place] & 2 != 0) {
                entries.append(entry)
            }
        }
        return FilteredRows(FilteredRows.Selection(entries))
    }

    private static func entry(_ change: RowChange, at index: Int, _ old: Bool, _ new: Bool) -> FilteredRows.Entry? {
        var seen = change
        var crossing: FilteredRows.Crossing?
        switch (change.operation, old, new) {
        case (.insert, _, true), (.delete, true, _), (.update, true, true): break
        case (.update, false, true):
            seen.operation = .insert
            seen.before = nil
            crossing = .entered
        case (.update, true, false):
            seen.operation = .delete
            seen.after = nil
            crossing = .left
        default: return nil
        }
        return FilteredRows.Entry(index: index, change: seen, operation: change.operation, crossing: crossing)
    }
}
