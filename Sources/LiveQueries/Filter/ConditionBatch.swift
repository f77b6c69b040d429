import SQLiteConnection

/// A condition's SQL, compiled once for all conditions that differ only in parameters.
final class CompiledCondition {
    let sql: String
    /// Whether it holds for the only row of the table.
    let statement: KeptStatement
    /// Where its parameters are; nil when it must be evaluated by itself.
    let numbers: ParameterNumbers?
    /// The parameters that are bound; nil when binding failed.
    var parameters: LiveParameters?
    /// When it was used last, counted in uses of all.
    var lastUse: UInt64

    /// A batch is compiled as a whole, so that long conditions would make it large.
    private static let (maxBytesInBatch, maxParametersInBatch) = (256, 16)

    init(_ sql: String, _ tokens: [SQLToken], _ statement: KeptStatement, lastUse: UInt64) {
        self.sql = sql
        self.statement = statement
        self.lastUse = lastUse
        let numbers = ParameterNumbers(tokens)
        let isSmall = sql.utf8.count <= Self.maxBytesInBatch && numbers.count <= Self.maxParametersInBatch
        self.numbers = isSmall && numbers.count == statement.statement.parameterCount ? numbers : nil
    }

    /// An expression that is `bit` where the condition holds, else 0, with parameters that follow `offset` others.
    ///
    /// `CASE` evaluates an AND from left to right, and no further than it must.
    func term(bit: UInt64 = 1, afterParameter offset: Int = 0) -> String {
        let condition = numbers?.renumber(sql, 0..<sql.utf8.count, offset: offset) ?? sql
        return Self.term(condition, bit)
    }

    /// On separate lines, so that a comment at the end of the condition does not swallow the parenthesis.
    static func term(_ condition: String, _ bit: UInt64 = 1) -> String {
        "CASE WHEN (\n\(condition)\n) THEN \(bit) ELSE 0 END"
    }
}

/// A condition with its parameters.
final class PreparedCondition {
    /// A large value would be kept by each batch.
    private static let maxValueBytesInBatch = 1_024

    let condition: RowCondition
    let values: [SQLiteValue]
    /// Counts the conditions of a table: those with neighbouring numbers are evaluated together.
    let number: Int
    /// Evaluated by itself: it is large, or has failed on a row, which would fail the whole batch.
    var isAlone: Bool
    /// The evaluation that needed it last.
    var lastEvaluation: UInt64 = 0

    init(_ condition: RowCondition, _ compiled: CompiledCondition, number: Int) throws(LiveRefusal) {
        self.condition = condition
        self.number = number
        values = try condition.parameters.values(for: compiled.statement.statement)
        isAlone = compiled.numbers == nil || values.contains { $0.byteCount > Self.maxValueBytesInBatch }
    }
}

/// Up to 62 conditions on the only row of a table, evaluated by one statement: its value has a bit for each that holds.
final class ConditionBatch {
    /// Literals of SQL are signed.
    static let maxConditions = 62

    let conditions: [PreparedCondition]
    private let statement: KeptStatement

    /// - Parameters:
    ///   - conditions: each with its compiled SQL, which has ``CompiledCondition/numbers``.
    ///   - source: the table, as in a FROM clause.
    init(
        _ conditions: [(prepared: PreparedCondition, compiled: CompiledCondition)],
        from source: String,
        on connection: Connection
    ) throws(SQLiteError) {
        self.conditions = conditions.map(\.prepared)
        var terms: [String] = []
        var values: [SQLiteValue] = []
        for (index, (prepared, compiled)) in conditions.enumerated() {
            terms.append("(\(compiled.term(bit: 1 << UInt64(index), afterParameter: values.count)))")
            values += prepared.values
        }
        statement = try KeptStatement("SELECT \(Self.combined(terms[...])) FROM \(source)", on: connection)
        try statement.bind(values)
    }

    /// As a balanced tree, whose depth SQLite limits.
    private static func combined(_ terms: ArraySlice<String>) -> String {
        if terms.count == 1, let term = terms.first { return term }
        let middle = terms.startIndex + terms.count / 2
        return "(\(combined(terms[..<middle])) | \(combined(terms[middle...])))"
    }

    /// The conditions that hold for the row, by their places; nil without a row.
    ///
    /// - Throws: also when only one of them fails on the row.
    func holding() throws(SQLiteError) -> UInt64? {
        defer { statement.statement.reset() }
        guard try statement.statement.step() else { return nil }
        return UInt64(bitPattern: statement.statement.integer(0))
    }
}
