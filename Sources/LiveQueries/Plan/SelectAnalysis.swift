import ChangeCapture
import SQLiteConnection

/// Which rows of tables the rows of a simple SELECT come from, and what identifies them.
///
/// Reads the text that SQLite has compiled; where a fact is not certain it fails with the reason, and the query runs as
/// a whole.
struct SelectAnalysis {
    let connection: Connection
    let shape: SelectShape
    private(set) var items: [SelectCore.Item] = []
    private let sql: String
    private let numbers: ParameterNumbers
    private let schema: SchemaSnapshot
    private let functions: FunctionCatalog

    init(
        _ sql: String,
        _ tokens: [SQLToken],
        _ connection: Connection,
        _ schema: SchemaSnapshot,
        _ functions: FunctionCatalog
    ) throws(SelectShape.Failure) {
        self.sql = sql
        self.connection = connection
        self.schema = schema
        self.functions = functions
        shape = try SelectShape(tokens)
        numbers = ParameterNumbers(tokens)
        for number in shape.items.indices { items.append(try item(number)) }
    }

    /// Adds to the plan what is known about the rows of the result. After a failure the plan still has the tables and
    /// the key.
    func complete(_ plan: inout LivePlan) throws(SelectShape.Failure) {
        let isAggregate = shape.tokens.indices.contains(where: isAggregateCall)
        let isGrouped = isAggregate || shape.hasHaving || shape.isDistinct || !shape.groupBy.isEmpty
        var core = core
        plan.core = core
        plan.key = isGrouped ? nil : resultKey()
        if shape.hasOrderBy || shape.hasLimit {
            throw SelectShape.Failure(reason: "it has ORDER BY or LIMIT")
        }
        guard isGrouped else {
            plan.kind = .rows
            return
        }
        if shape.isDistinct, isAggregate || !shape.groupBy.isEmpty {
            throw SelectShape.Failure(reason: "it has DISTINCT beside a grouping")
        }
        if shape.isDistinct {
            core.groups = try distinctExpressions()
        } else {
            let keys = try shape.groupBy.map(groupKey)
            core.groups = keys.map { (text($0.tokens), $0.collation) }
            core.running = RunningAggregates(
                shape,
                keys: keys.map { ($0.tokens, $0.key) },
                calls: isAggregateCall,
                text(bytes:)
            )
            if keys.isEmpty, core.running == nil {
                throw SelectShape.Failure(reason: "it aggregates all rows to one, by more than count and sum")
            }
            plan.key = keys.isEmpty ? nil : groupKey(keys.map(\.tokens))
        }
        plan.core = core
        plan.kind = .groups
        plan.sql = core.withGroupKeys
    }

    private var core: SelectCore {
        var from = ""
        if let first = shape.items.first, let last = shape.items.last {
            from = text(bytes: first.range.lowerBound..<last.range.upperBound)
        }
        return SelectCore(
            items: items,
            result: text(shape.resultTokens),
            from: from,
            condition: shape.whereTokens.isEmpty ? nil : text(shape.whereTokens),
            tail: shape.groupTokens.isEmpty ? "" : text(shape.groupTokens),
            isDistinct: shape.isDistinct,
            groups: [],
            running: nil,
            nextParameter: numbers.count + 1
        )
    }

    /// The text of tokens, with numbered parameters.
    func text(_ tokens: Range<Int>) -> String { text(bytes: shape.bytes(tokens)) }

    private func text(bytes: Range<Int>) -> String { numbers.renumber(sql, bytes) }

    /// The table or view of that name.
    func table(_ name: String) -> TableDescription? {
        let folded = SQLName(name).caseFolded
        return schema.tables.values.first { $0.name.caseFolded == folded }?.description
    }

    private func item(_ number: Int) throws(SelectShape.Failure) -> SelectCore.Item {
        let item = shape.items[number]
        guard let table = table(item.table), table.kind == .table else {
            throw SelectShape.Failure(reason: "\(item.table) is not an ordinary table")
        }
        let key: [String]
        if table.hasRowid {
            guard let rowid = table.rowidName else {
                throw SelectShape.Failure(reason: "no name reaches the rowid of \(table.name)")
            }
            key = [rowid]
        } else {
            key = table.primaryKey.map { SQLName(table.columns[$0].name).quoted }
        }
        let anchor = item.isLeftJoin ? anchor(of: number) : number
        let start = shape.items[0].range.lowerBound
        let prefix =
            number == 0
            ? text(bytes: item.range)
            : text(bytes: start..<item.joinRange.lowerBound) + (item.isNatural ? " NATURAL JOIN " : " JOIN ")
                + text(bytes: item.range)
        return SelectCore.Item(
            table: table,
            name: SQLName(item.name).quoted,
            key: key,
            anchor: anchor,
            anchorOf: item.isLeftJoin ? anchor : nil,
            prefix: prefix
        )
    }

    /// The table whose rows are evaluated again when rows of a table on the right side of a LEFT JOIN change: a table
    /// that the join condition names, with the fewest affected rows.
    private func anchor(of number: Int) -> Int {
        let item = shape.items[number]
        for index in item.on where shape.isSymbol(index, ".") && shape.isName(index - 1) {
            let name = SQLName(shape.tokens[index - 1].text).caseFolded
            guard
                let found = shape.items[..<number].lastIndex(where: { SQLName($0.name).caseFolded == name })
            else { continue }
            return shape.items[found].isLeftJoin ? anchor(of: found) : found
        }
        return 0
    }

    private func isAggregateCall(_ index: Int) -> Bool {
        guard shape.isName(index) || shape.tokens[index].kind == .word, shape.isSymbol(index + 1, "(") else {
            return false
        }
        let name = SQLName(shape.tokens[index].text).caseFolded.string
        guard functions.isAggregate(name) else { return false }
        guard name == "min" || name == "max" else { return true }
        // With several arguments they are ordinary functions.
        let depth = shape.tokens[index + 1].depth + 1
        var next = index + 2
        while next < shape.tokens.count, shape.tokens[next].depth >= depth {
            if shape.isSymbol(next, ","), shape.tokens[next].depth == depth { return false }
            next += 1
        }
        return true
    }
}

extension SQLName {
    /// The content of a name in double quotes.
    init(unquoted text: String) {
        self.init(String(text.dropFirst().dropLast()).replacing("\"\"", with: "\""))
    }
}
