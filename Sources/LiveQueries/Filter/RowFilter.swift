package import ChangeCapture
import SQLiteConnection

/// A condition on the rows of one table, as SQL.
package struct RowCondition: Hashable, Sendable {
    package var sql: String
    package var parameters: LiveParameters

    package init(sql: String, parameters: LiveParameters = .none) {
        self.sql = sql
        self.parameters = parameters
    }

    package static func == (left: RowCondition, right: RowCondition) -> Bool {
        left.sql.isIdentical(to: right.sql) && left.parameters == right.parameters
    }
}

/// The effect of a transaction on the rows that a condition selects.
package struct FilteredRows: Sendable {
    package enum Crossing: String, Sendable, Hashable {
        /// Only the new row matches: for the subscriber the row is inserted.
        case entered
        /// Only the old row matches: for the subscriber the row is deleted.
        case left
    }

    package struct Entry: Sendable {
        /// The place of the change among the rows of its table.
        package var index: Int
        /// The change, with the operation as seen through the condition.
        package var change: RowChange
        /// The operation of the transaction itself.
        package var operation: RowChange.Operation
        package var crossing: Crossing?
    }

    package var entries: [Entry] = []
    /// It is unknown which rows match: they were not kept, or the condition fails on one of them.
    package var isUnknown = false

    package init(entries: [Entry] = [], isUnknown: Bool = false) {
        self.entries = entries
        self.isUnknown = isUnknown
    }
}

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
    private var reads = ReadSet()
    /// By the bytes of the condition's SQL: conditions that differ only in parameters share a statement.
    private var compiled: [[UInt8]: CompiledCondition] = [:]
    /// Counts the uses of ``compiled``.
    private var uses: UInt64 = 0
    private static let maxCompiledConditions = 1_000

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
            connection.setLimit(.expressionDepth, 100)
            connection.setLimit(.attachedDatabases, 0)
            deadline.install(on: connection)
            // CHECK constraints are ignored: the original table has accepted the rows.
            try connection.execute(
                "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON; PRAGMA temp_store=MEMORY"
            )
            try connection.execute(table.sql)
            functions = try FunctionCatalog(connection)
            let name = SQLName(table.name).quoted
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
    package func check(_ condition: RowCondition) throws(LiveRefusal) { _ = try statement(for: condition) }

    private func statement(for condition: RowCondition) throws(LiveRefusal) -> KeptStatement {
        uses += 1
        let key = Array(condition.sql.utf8)
        if let known = compiled[key] {
            known.lastUse = uses
            if known.parameters != condition.parameters { try bind(condition.parameters, to: known) }
            return known.statement
        }
        try Self.checkText(condition.sql, maxBytes: limits.maxSQLBytes)
        // On separate lines, so that a comment at the end of the condition does not swallow the parenthesis.
        let head = "SELECT EXISTS (SELECT 1 FROM main.\(SQLName(description.name).quoted) WHERE (\n"
        reads = ReadSet()
        connection.setAuthorizer { [unowned self] in reads.note($0, rights: .all) }
        defer { connection.setAuthorizer(nil) }
        let kept: KeptStatement
        do {
            kept = try KeptStatement(head + condition.sql + "\n))", on: connection)
        } catch {
            var refusal = reads.refusal ?? LiveRefusal(error)
            refusal.offset = error.offset.map { max(0, min($0 - head.utf8.count, condition.sql.utf8.count)) }
            throw refusal
        }
        let tokens = SQLLexer.tokens(condition.sql)
        for function in reads.functions.sorted() where functions.isVolatile(function) {
            let place = tokens.first { SQLName($0.text).caseFolded.string == function }?.range.lowerBound
            throw LiveRefusal(
                .notLive,
                "\(function)() gives another value each time; a filter cannot use it",
                offset: place
            )
        }
        let new = CompiledCondition(kept, lastUse: uses)
        try bind(condition.parameters, to: new)
        makeRoomForCondition()
        compiled[key] = new
        return kept
    }

    /// Subscriptions come and go, so a condition is removed only when others need its place.
    private func makeRoomForCondition() {
        guard compiled.count >= Self.maxCompiledConditions,
            let oldest = compiled.min(by: { $0.value.lastUse < $1.value.lastUse })
        else { return }
        compiled[oldest.key] = nil
    }

    /// Rejects text that is more than one expression.
    static func checkText(_ sql: String, maxBytes: Int) throws(LiveRefusal) {
        guard sql.utf8.count <= maxBytes else {
            throw LiveRefusal(.limit, "the filter has \(sql.utf8.count) bytes; it may have \(maxBytes)")
        }
        let tokens = SQLLexer.tokens(sql)
        guard !tokens.isEmpty else {
            throw LiveRefusal(.sqlError, "the filter is empty; an SQL expression is expected", offset: 0)
        }
        for token in tokens {
            if token.depth < 0 {
                throw LiveRefusal(.sqlError, "a parenthesis is closed that is not open", offset: token.range.lowerBound)
            }
            if token.kind == .symbol, token.text == ";" {
                throw LiveRefusal(.sqlError, "the filter is one expression", offset: token.range.lowerBound)
            }
            if token.kind == .word, ["SELECT", "VALUES", "WITH"].contains(token.text) {
                throw LiveRefusal(.notLive, "a filter cannot have subqueries", offset: token.range.lowerBound)
            }
        }
        if let found = TimeDependence.find(in: tokens) {
            throw LiveRefusal(
                .notLive,
                "\(found.text) depends on the time; a filter cannot use it: give the time as a parameter",
                offset: found.offset
            )
        }
    }

    private func bind(_ parameters: LiveParameters, to condition: CompiledCondition) throws(LiveRefusal) {
        condition.parameters = nil
        let values = try parameters.values(for: condition.statement.statement)
        do { try condition.statement.bind(values) } catch { throw LiveRefusal(error) }
        condition.parameters = parameters
    }

    // MARK: Rows

    /// The rows of a transaction that each condition selects.
    ///
    /// Takes at most ``LiveLimits/maxStepTime``; conditions that are not evaluated by then are unknown.
    package func evaluate(_ rows: TableRows, _ conditions: [RowCondition]) -> [RowCondition: FilteredRows] {
        var found = conditions.map { _ in FilteredRows() }
        if rows.detail == .values, !rows.rowsOmitted, rows.countsAreKnown {
            deadline.start(limits.maxStepTime)
            defer { deadline.clear() }
            for (place, change) in rows.rows.enumerated() {
                let old = matches(change.before, rowid: change.rowid, conditions)
                let new = matches(change.after, rowid: change.rowid, conditions)
                for index in conditions.indices {
                    guard let old = old[index], let new = new[index] else {
                        found[index].isUnknown = true
                        continue
                    }
                    if let entry = Self.entry(change, at: place, old, new) { found[index].entries.append(entry) }
                }
            }
        } else {
            for index in found.indices { found[index].isUnknown = true }
        }
        var results: [RowCondition: FilteredRows] = [:]
        for (index, condition) in conditions.enumerated() {
            if found[index].isUnknown { found[index].entries = [] }
            results[condition] = found[index]
        }
        return results
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

    /// Whether each condition holds for the row; nil for a condition that cannot be evaluated on it. A missing row
    /// matches no condition.
    private func matches(_ row: Row?, rowid: Int64?, _ conditions: [RowCondition]) -> [Bool?] {
        guard let row else { return conditions.map { _ in false } }
        do throws(SQLiteError) {
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
        } catch {
            return conditions.map { _ in nil }
        }
        return conditions.map { condition in
            // Each condition was checked when its subscription began.
            guard let kept = try? statement(for: condition) else { return nil }
            defer { kept.statement.reset() }
            guard (try? kept.statement.step()) == true else { return nil }
            return kept.statement.integer(0) != 0
        }
    }
}

/// A condition's statement and what it was used for last.
private final class CompiledCondition {
    let statement: KeptStatement
    /// The parameters that are bound; nil when binding failed.
    var parameters: LiveParameters?
    var lastUse: UInt64

    init(_ statement: KeptStatement, lastUse: UInt64) {
        self.statement = statement
        self.lastUse = lastUse
    }
}
