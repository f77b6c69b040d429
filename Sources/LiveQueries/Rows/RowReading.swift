import ChangeCapture
import SQLiteConnection

/// A compiled statement that is reused.
final class KeptStatement {
    var statement: Statement

    init(_ sql: String, on connection: Connection) throws(SQLiteError) {
        statement = try connection.prepare(sql, persistent: true)
    }

    /// Binds values, beginning with parameter `first`.
    func bind(_ values: [SQLiteValue], from first: Int = 1) throws(SQLiteError) {
        for (index, value) in values.enumerated() { try statement.bind(value, at: first + index) }
    }

    /// Runs the statement and passes each row; stops, without an error, when `body` returns false.
    func forEachRow(_ builder: inout RowBuilder, _ body: (Row) -> Bool) throws(SQLiteError) {
        while try statement.step() {
            // Not earlier: when the schema has changed, the first step compiles the statement again.
            let count = statement.columnCount
            for column in 0..<count {
                statement.withColumn(column) { value in builder.append(value) }
            }
            if !body(builder.finish()) {
                statement.reset()
                return
            }
        }
    }

    func rows() throws(SQLiteError) -> [Row] {
        var builder = RowBuilder()
        var rows: [Row] = []
        try forEachRow(&builder) { row in
            rows.append(row)
            return true
        }
        return rows
    }
}

/// Interrupts a statement that takes too long. Use it on the connection's thread.
final class Deadline {
    private static let steps = 2_000
    private var end: ContinuousClock.Instant?
    /// The thread's budget, unless it limits a query already.
    private var budget: ResourceBudget?
    /// Whether the deadline interrupted the last statement.
    private(set) var isExceeded = false
    private let isStopped: @Sendable () -> Bool

    init(isStopped: @escaping @Sendable () -> Bool = { false }) { self.isStopped = isStopped }

    func install(on connection: Connection) {
        connection.setProgressHandler(everySteps: Self.steps) { [unowned self] in
            if isStopped() { return .interrupt }
            guard let end, ContinuousClock.now > end else { return .proceed }
            isExceeded = true
            return .interrupt
        }
    }

    func start(_ time: Duration) {
        isExceeded = false
        end = .now + time
        let budget = ResourceBudget.ofThisThread()
        guard !budget.isBounding else { return }
        budget.begin(.evaluation)
        self.budget = budget
    }

    /// Whether the time is over, though no statement may have been interrupted.
    var isOver: Bool { end.map { ContinuousClock.now > $0 } ?? false }

    /// On the thread of ``start(_:)``.
    func clear() {
        end = nil
        budget?.end()
        budget = nil
    }
}

/// The bounds of what clients' live queries and filters evaluate, beyond those of ``EvaluationPolicy``.
enum LiveEvaluation {
    /// Whatever a client asks may use LIKE or GLOB, so that all values are bounded as if it did.
    static func bound(_ connection: Connection) {
        connection.setLimit(.valueBytes, EvaluationPolicy().maxPatternTextBytes)
    }
}

/// A group's values as SQL compares them, to find the group again.
struct GroupKey: Hashable, Sendable {
    private let row: Row

    /// - Parameter values: the values of any row of the group.
    init(_ values: [SQLiteValue], _ collations: [KeyCollation]) {
        var builder = RowBuilder()
        for (value, collation) in zip(values, collations) { builder.append(Self.canonical(value, collation)) }
        row = builder.finish()
    }

    private static func canonical(_ value: SQLiteValue, _ collation: KeyCollation) -> SQLiteValue {
        switch value {
        case .real(let number):
            if let integer = Int64(exactly: number) { return .integer(integer) }
            return value
        case .text(let text):
            return collation == .binary ? value : .blob(folded(Array(text.utf8), collation))
        case .malformedText(let bytes):
            return collation == .binary ? value : .blob(folded(bytes, collation))
        case .blob(let bytes):
            // Distinct from texts, which are represented as blobs above.
            return collation == .binary ? value : .malformedText([0xff] + bytes)
        case .null, .integer:
            return value
        }
    }

    private static func folded(_ bytes: [UInt8], _ collation: KeyCollation) -> [UInt8] {
        switch collation {
        case .binary:
            return bytes
        case .noCase:
            // SQLite compares up to a NUL character, and then by length.
            let end = bytes.firstIndex(of: 0) ?? bytes.count
            let folded = bytes[..<end].map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }
            return end == bytes.count ? folded : folded + [0] + Array("\(bytes.count)".utf8)
        case .trailingSpaces:
            var end = bytes.count
            while end > 0, bytes[end - 1] == 0x20 { end -= 1 }
            return Array(bytes[..<end])
        }
    }
}
