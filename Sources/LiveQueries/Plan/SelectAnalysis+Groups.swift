import ChangeCapture
import SQLiteConnection

extension SelectAnalysis {
    /// An expression of GROUP BY, resolved, and how its values are compared.
    func groupKey(
        _ range: Range<Int>
    ) throws(SelectShape.Failure) -> (tokens: Range<Int>, collation: KeyCollation, key: RunningAggregates.Key) {
        let tokens = try groupExpression(range)
        let collation = try collation(of: tokens)
        let type = column(tokens)?.column.type
        let key = RunningAggregates.Key(
            hasDistinctTexts: collation == .binary,
            hasDistinctNumbers: type.map(Affinity.isInteger) ?? false
        )
        return (tokens, collation, key)
    }

    /// An expression of GROUP BY, which can be the number or the alias of a result column.
    private func groupExpression(_ range: Range<Int>) throws(SelectShape.Failure) -> Range<Int> {
        guard range.count == 1, let only = range.first else {
            // SQLite also takes `(1)`, `+1` and `1 COLLATE NOCASE` for the number of a column.
            if range.contains(where: { shape.tokens[$0].kind == .number }),
                range.allSatisfy(isPartOfNumber)
            {
                throw SelectShape.Failure(reason: "it groups by the number of a column within an expression")
            }
            return range
        }
        let token = shape.tokens[only]
        if token.kind == .number, let number = Int(token.text) {
            guard shape.columns.indices.contains(number - 1), !shape.columns.contains(where: \.isStar) else {
                throw SelectShape.Failure(reason: "it groups by the number of a column behind *")
            }
            return shape.columns[number - 1].tokens
        }
        guard shape.isName(only) else { return range }
        let name = SQLName(token.text).caseFolded
        // Names of columns come before aliases.
        let columns = shape.items.compactMap { table($0.table)?.columns }.joined()
        if columns.contains(where: { SQLName($0.name).caseFolded == name }) { return range }
        return shape.columns.first { $0.alias.map { SQLName($0).caseFolded == name } ?? false }?.tokens ?? range
    }

    private func isPartOfNumber(_ index: Int) -> Bool {
        shape.tokens[index].kind == .number || shape.isWord(index, "COLLATE") || shape.isWord(index - 1, "COLLATE")
            || ["(", ")", "+", "-"].contains { shape.isSymbol(index, $0) }
    }

    /// The expressions of SELECT DISTINCT, and how they are compared.
    func distinctExpressions() throws(SelectShape.Failure) -> [(sql: String, collation: KeyCollation)] {
        var expressions: [(sql: String, collation: KeyCollation)] = []
        for column in shape.columns {
            guard column.isStar else {
                expressions.append((text(column.tokens), try collation(of: column.tokens)))
                continue
            }
            if shape.items.contains(where: { $0.isNatural || $0.hasUsing }) {
                throw SelectShape.Failure(reason: "it has * beside USING or NATURAL")
            }
            let wanted = column.starTable.map { SQLName(SQLName($0).caseFolded.string).quoted }
            for item in items where wanted == nil || SQLName(unquoted: item.name).caseFolded.quoted == wanted {
                for entry in item.table.columns where entry.visibility != .hidden {
                    guard
                        let collation = connection.collation(ofColumn: entry.name, of: item.table.name)
                            .flatMap(KeyCollation.init)
                    else { throw SelectShape.Failure(reason: "it compares by a collation of its own") }
                    expressions.append(("\(item.name).\(SQLName(entry.name).quoted)", collation))
                }
            }
        }
        return expressions
    }

    /// How the values of an expression are compared when grouping.
    private func collation(of range: Range<Int>) throws(SelectShape.Failure) -> KeyCollation {
        let range = shape.withoutParentheses(range)
        if range.contains(where: { shape.isWord($0, "COLLATE") }) {
            let last = range.upperBound - 1
            guard range.count <= 5, shape.isWord(last - 1, "COLLATE"),
                columnName(range.lowerBound..<last - 1) != nil,
                let collation = KeyCollation(shape.tokens[last].text)
            else { throw SelectShape.Failure(reason: "it groups by an expression with COLLATE") }
            return collation
        }
        guard columnName(range) != nil else {
            // CAST and the unary plus keep the collation of their operand.
            if range.contains(where: { shape.isWord($0, "CAST") })
                || range.first.map({ shape.isSymbol($0, "+") }) == true
            {
                throw SelectShape.Failure(reason: "it groups by an expression whose collation is not known")
            }
            return .binary
        }
        guard let (table, column) = column(range) else { return .binary }
        guard let collation = connection.collation(ofColumn: column.name, of: table).flatMap(KeyCollation.init) else {
            throw SelectShape.Failure(reason: "it groups by a column with a collation of its own")
        }
        return collation
    }

    /// The column that an expression names, and its table.
    private func column(_ range: Range<Int>) -> (table: String, column: ColumnDescription)? {
        guard let (qualifier, name) = columnName(shape.withoutParentheses(range)) else { return nil }
        for item in items {
            if let qualifier, SQLName(unquoted: item.name).caseFolded != qualifier { continue }
            guard let column = item.table.columns.first(where: { SQLName($0.name).caseFolded == name }) else {
                continue
            }
            return (item.table.name, column)
        }
        return nil
    }

    /// The folded name of a column, if the tokens are only that.
    func columnName(_ range: Range<Int>) -> (qualifier: SQLName?, name: SQLName)? {
        guard let last = range.last, shape.isName(last) else { return nil }
        let name = SQLName(shape.tokens[last].text).caseFolded
        switch range.count {
        case 1: return (nil, name)
        case 3 where shape.isSymbol(last - 1, ".") && shape.isName(last - 2):
            return (SQLName(shape.tokens[last - 2].text).caseFolded, name)
        case 5 where shape.isSymbol(last - 1, ".") && shape.isSymbol(last - 3, ".") && shape.isName(last - 2):
            return (SQLName(shape.tokens[last - 2].text).caseFolded, name)
        default: return nil
        }
    }
}
