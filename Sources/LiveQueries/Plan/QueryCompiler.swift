import ChangeCapture
import SQLiteConnection

/// Decides whether and how a query can be kept live: compiles it on a connection, records what it reads, and analyses
/// its text.
struct QueryCompiler {
    private let connection: Connection
    private let schema: SchemaSnapshot
    private let functions: FunctionCatalog
    private let limits: LiveLimits
    /// The table of each b-tree, whether the b-tree is the table's own or an index's.
    private var tableOfRoot: [Int64: SQLName] = [:]
    /// Names that refer to tables without being in the schema.
    private var modules: Set<SQLName> = []

    /// - Parameter connection: a connection in a transaction with the schema `schema`. Its authorizer is replaced.
    init(_ connection: Connection, schema: SchemaSnapshot, limits: LiveLimits) throws(SQLiteError) {
        self.connection = connection
        self.schema = schema
        self.limits = limits
        functions = try FunctionCatalog(connection)
        for row in try connection.query("SELECT name FROM pragma_module_list") {
            if case .text(let name) = row[0] { modules.insert(SQLName(name).caseFolded) }
        }
        for row in try connection.query("SELECT rootpage, tbl_name FROM sqlite_schema WHERE rootpage > 0") {
            if case .integer(let root) = row[0], case .text(let table) = row[1] { tableOfRoot[root] = SQLName(table) }
        }
    }

    func plan(_ request: LiveQueryRequest) throws(LiveRefusal) -> LivePlan {
        guard request.sql.utf8.count <= limits.maxSQLBytes else {
            throw LiveRefusal(
                .limit,
                "the SQL has \(request.sql.utf8.count) bytes; a live query may have \(limits.maxSQLBytes)"
            )
        }
        let tokens = SQLLexer.tokens(request.sql)
        if let verb = tokens.first(where: { $0.text != ";" }), !Self.verbs.contains(verb.text) {
            throw LiveRefusal(.notLive, "a live query is a SELECT", offset: verb.range.lowerBound)
        }
        let (reads, columns, values) = try compile(request)
        try refuseVolatile(reads, tokens)
        let whole = ParameterNumbers(tokens).renumber(request.sql, 0..<request.sql.utf8.count)
        var plan = LivePlan(
            kind: .rerun,
            rerunReason: nil,
            dependencies: [:],
            columns: columns,
            isOrdered: Self.isOrdered(tokens),
            sql: whole,
            whole: whole,
            values: values
        )
        plan.views = reads.views
        plan.ownNames = reads.ownNames
        try resolve(reads, hasUsing: usesUsing(reads, tokens), into: &plan)
        do {
            try takeApart(request.sql, tokens, &plan, reads)
        } catch {
            plan.kind = .rerun
            plan.rerunReason = error.reason
        }
        try chooseKey(request, &plan)
        return plan
    }

    /// The keywords that a SELECT can begin with.
    private static let verbs: Set<String> = ["SELECT", "WITH", "VALUES"]

    // MARK: Compilation

    private func compile(
        _ request: LiveQueryRequest
    ) throws(LiveRefusal) -> (reads: ReadSet, columns: [String], values: [SQLiteValue]) {
        let known = schema.tables.keys.map(\.caseFolded)
        let reads = ReadSet(knownTables: modules.union(known))
        connection.setAuthorizer { action in reads.note(action, rights: request.rights) }
        defer { connection.setAuthorizer(nil) }
        do {
            var script = Script(request.sql)
            guard let statement = try script.next(on: connection) else {
                throw LiveRefusal(.sqlError, "there is no statement in the SQL")
            }
            if let refusal = reads.refusal { throw refusal }
            let end = script.tail
            if try script.next(on: connection) != nil {
                throw LiveRefusal(.notLive, "a live query is one statement, and another one follows", offset: end)
            }
            guard statement.isReadOnly, statement.explainLevel == 0, statement.columnCount > 0, reads.selects else {
                throw LiveRefusal(.notLive, "a live query is a SELECT")
            }
            let count = statement.parameterCount
            guard count <= limits.maxParameters else {
                throw LiveRefusal(
                    .limit,
                    "the SQL has \(count) parameters; a live query may have \(limits.maxParameters)"
                )
            }
            let values = try request.parameters.values(for: statement)
            try noteProgram(request, reads)
            if let refusal = reads.refusal { throw refusal }
            return (reads, (0..<statement.columnCount).map { statement.columnName($0) }, values)
        } catch let refusal as LiveRefusal {
            throw refusal
        } catch let error as SQLiteError {
            throw request.rights.refusal(error, reads.refusal)
        } catch {
            throw LiveRefusal(.sqlError, "\(error)")
        }
    }

    /// Adds the tables for which SQLite did not call the authorizer: it does not call it for the columns of USING and
    /// NATURAL.
    ///
    /// Source: [The SQLite Bytecode Engine](https://sqlite.org/opcode.html#OpenRead).
    private func noteProgram(_ request: LiveQueryRequest, _ reads: ReadSet) throws(SQLiteError) {
        var opened: Set<Int64> = []
        for row in try connection.query("EXPLAIN " + request.sql) {
            // Columns: addr, opcode, p1, p2, p3 …; p3 is the database, 0 for main.
            guard row.count > 4, case .text("OpenRead") = row[1], case .integer(let root) = row[3],
                case .integer(0) = row[4]
            else { continue }
            opened.insert(root)
        }
        for root in opened.sorted() {
            guard let table = tableOfRoot[root], reads.tables[table.caseFolded] == nil else { continue }
            // Makes the authorizer check the rights for the table, and records it.
            _ = try connection.prepare("SELECT 1 FROM main.\(table.quoted)")
        }
    }

    private func refuseVolatile(_ reads: ReadSet, _ tokens: [SQLToken]) throws(LiveRefusal) {
        for function in reads.functions.sorted() {
            if functions.isVolatile(function) {
                throw LiveRefusal(.notLive, "\(function)() gives another value each time; a live query cannot use it")
            }
        }
        var texts = [tokens]
        for view in reads.views {
            if let table = schema.tables.values.first(where: { $0.name.caseFolded == view }) {
                texts.append(SQLLexer.tokens(table.description.sql))
            }
        }
        for text in texts {
            if let found = TimeDependence.find(in: text) {
                throw LiveRefusal(
                    .notLive,
                    "\(found.text) depends on the time; a live query cannot use it: give the time as a parameter",
                    offset: text == tokens ? found.offset : nil
                )
            }
        }
    }

    /// Whether columns can be read without a call of the authorizer.
    private func usesUsing(_ reads: ReadSet, _ tokens: [SQLToken]) -> Bool {
        let views = schema.tables.values.filter { reads.views.contains($0.name.caseFolded) }
        let texts = [tokens] + views.map { SQLLexer.tokens($0.description.sql) }
        return texts.contains { text in
            text.contains { $0.kind == .word && ($0.text == "USING" || $0.text == "NATURAL") }
        }
    }

    private func resolve(_ reads: ReadSet, hasUsing: Bool, into plan: inout LivePlan) throws(LiveRefusal) {
        for (name, columns) in reads.tables {
            let known = schema.tables.values.first { $0.name.caseFolded == name }
            guard let table = known else {
                // SQLite's own tables, pragmas as tables, and table-valued functions.
                if name.string.hasPrefix("sqlite_") || name.string.hasPrefix("pragma_") {
                    guard ["sqlite_master", "sqlite_schema"].contains(name.string) else {
                        throw LiveRefusal(
                            .notLive,
                            "changes of \(name.string) are not reported; a live query cannot read it"
                        )
                    }
                    plan.readsSchema = true
                }
                continue
            }
            let description = table.description
            let owner = table.shadowOwner.map { $0 } ?? table.name
            if description.kind == .view { continue }
            var positions: Set<Int>? = hasUsing ? nil : []
            for column in columns where !column.string.isEmpty {
                let index = description.columns.firstIndex { SQLName($0.name).caseFolded == column }
                // The values of a virtual column may be unknown.
                if let index, description.columns[index].visibility == .generatedVirtual { positions = nil }
                if let index { positions?.insert(index) }
            }
            if table.isShadow || description.kind == .virtual { positions = nil }
            if let known = plan.dependencies[owner] {
                positions = known.columns.flatMap { known in positions.map { known.union($0) } }
            }
            plan.dependencies[owner] = LivePlan.Dependency(columns: positions)
        }
    }

    private static func isOrdered(_ tokens: [SQLToken]) -> Bool {
        tokens.indices.contains { index in
            tokens[index].depth == 0 && tokens[index].kind == .word && tokens[index].text == "ORDER"
        }
    }

    // MARK: Analysis of the text

    private func takeApart(
        _ sql: String,
        _ tokens: [SQLToken],
        _ plan: inout LivePlan,
        _ reads: ReadSet
    ) throws(SelectShape.Failure) {
        let shape = try SelectShape(tokens)
        let numbers = ParameterNumbers(tokens)
        func text(_ range: Range<Int>) -> String { numbers.renumber(sql, range) }
        let items = try shape.items.indices.map { (number) throws(SelectShape.Failure) in
            try item(number, of: shape, text)
        }
        let isAggregate = shape.tokens.indices.contains { isAggregateCall($0, shape) }
        let resultText = text(shape.bytes(shape.resultTokens))
        var core = SelectCore(
            items: items,
            result: resultText,
            from: text(
                items.isEmpty ? 0..<0 : shape.items[0].range.lowerBound..<shape.items[items.count - 1].range.upperBound
            ),
            condition: shape.whereTokens.isEmpty ? nil : text(shape.bytes(shape.whereTokens)),
            tail: shape.groupTokens.isEmpty ? "" : text(shape.bytes(shape.groupTokens)),
            isDistinct: shape.isDistinct,
            groups: [],
            running: nil,
            nextParameter: numbers.count + 1
        )
        plan.core = core
        plan.key = resultKey(shape, items, isGrouped: isAggregate || shape.isDistinct || !shape.groupBy.isEmpty)
        if shape.hasOrderBy || shape.hasLimit {
            throw SelectShape.Failure(reason: "it has ORDER BY or LIMIT")
        }
        if shape.groupBy.isEmpty, !shape.isDistinct {
            guard isAggregate || shape.hasHaving else {
                plan.kind = .rows
                return
            }
            guard let running = RunningAggregates(shape, keys: [], calls: { isAggregateCall($0, shape) }, text) else {
                throw SelectShape.Failure(reason: "it aggregates all rows to one, by more than count and sum")
            }
            core.running = running
            plan.core = core
            plan.kind = .groups
            plan.sql = core.withGroupKeys
            return
        }
        if shape.isDistinct, !shape.groupBy.isEmpty || isAggregate {
            throw SelectShape.Failure(reason: "it has DISTINCT beside a grouping")
        }
        if shape.isDistinct {
            core.groups = try distinctExpressions(shape, items, text).map { ($0.0, $0.1) }
        } else {
            var keys: [(Range<Int>, RunningAggregates.Key)] = []
            for range in shape.groupBy {
                let resolved = try groupExpression(range, shape)
                let collation = try collation(of: resolved, shape, items)
                core.groups.append((text(shape.bytes(resolved)), collation))
                let type = column(resolved, shape, items)?.column.type
                keys.append(
                    (
                        resolved,
                        RunningAggregates.Key(
                            hasDistinctTexts: collation == .binary,
                            hasDistinctNumbers: type.map(Affinity.isInteger) ?? false
                        )
                    )
                )
            }
            core.running = RunningAggregates(shape, keys: keys, calls: { isAggregateCall($0, shape) }, text)
        }
        plan.core = core
        plan.key = shape.isDistinct ? nil : groupKey(shape)
        plan.kind = .groups
        plan.sql = core.withGroupKeys
    }

    private func item(
        _ number: Int,
        of shape: SelectShape,
        _ text: (Range<Int>) -> String
    ) throws(SelectShape.Failure) -> SelectCore.Item {
        let item = shape.items[number]
        let folded = SQLName(item.table).caseFolded
        guard let table = schema.tables.values.first(where: { $0.name.caseFolded == folded })?.description,
            table.kind == .table
        else {
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
        let anchor = item.isLeftJoin ? anchor(of: number, shape) : number
        let start = shape.items[0].range.lowerBound
        let prefix =
            number == 0
            ? text(item.range)
            : text(start..<item.joinRange.lowerBound) + (item.isNatural ? " NATURAL JOIN " : " JOIN ")
                + text(item.range)
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
    private func anchor(of number: Int, _ shape: SelectShape) -> Int {
        let item = shape.items[number]
        for index in item.on where shape.isSymbol(index, ".") && shape.isName(index - 1) {
            let name = SQLName(shape.tokens[index - 1].text).caseFolded
            guard
                let found = shape.items[..<number].lastIndex(where: { SQLName($0.name).caseFolded == name })
            else { continue }
            return shape.items[found].isLeftJoin ? anchor(of: found, shape) : found
        }
        return 0
    }

    private func isAggregateCall(_ index: Int, _ shape: SelectShape) -> Bool {
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

    // MARK: Groups

    /// An expression of GROUP BY, which can be the number or the alias of a result column.
    private func groupExpression(_ range: Range<Int>, _ shape: SelectShape) throws(SelectShape.Failure) -> Range<Int> {
        guard range.count == 1, let only = range.first else {
            // SQLite also takes `(1)`, `+1` and `1 COLLATE NOCASE` for the number of a column.
            if range.contains(where: { shape.tokens[$0].kind == .number }),
                range.allSatisfy({ isPartOfNumber($0, shape) })
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
        if tables(shape).contains(where: { $0.contains { SQLName($0.name).caseFolded == name } }) { return range }
        return shape.columns.first { $0.alias.map { SQLName($0).caseFolded == name } ?? false }?.tokens ?? range
    }

    private func isPartOfNumber(_ index: Int, _ shape: SelectShape) -> Bool {
        shape.tokens[index].kind == .number || shape.isWord(index, "COLLATE") || shape.isWord(index - 1, "COLLATE")
            || ["(", ")", "+", "-"].contains { shape.isSymbol(index, $0) }
    }

    private func tables(_ shape: SelectShape) -> [[ColumnDescription]] {
        shape.items.compactMap { item in
            let folded = SQLName(item.table).caseFolded
            return schema.tables.values.first { $0.name.caseFolded == folded }?.description.columns
        }
    }

    private func distinctExpressions(
        _ shape: SelectShape,
        _ items: [SelectCore.Item],
        _ text: (Range<Int>) -> String
    ) throws(SelectShape.Failure) -> [(String, KeyCollation)] {
        var expressions: [(String, KeyCollation)] = []
        for column in shape.columns {
            guard column.isStar else {
                expressions.append((text(shape.bytes(column.tokens)), try collation(of: column.tokens, shape, items)))
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
    private func collation(
        of range: Range<Int>,
        _ shape: SelectShape,
        _ items: [SelectCore.Item]
    ) throws(SelectShape.Failure) -> KeyCollation {
        let range = shape.withoutParentheses(range)
        if range.contains(where: { shape.isWord($0, "COLLATE") }) {
            let last = range.upperBound - 1
            guard range.count <= 5, shape.isWord(last - 1, "COLLATE"),
                columnName(range.lowerBound..<last - 1, shape) != nil,
                let collation = KeyCollation(shape.tokens[last].text)
            else { throw SelectShape.Failure(reason: "it groups by an expression with COLLATE") }
            return collation
        }
        guard columnName(range, shape) != nil else {
            // CAST and the unary plus keep the collation of their operand.
            if range.contains(where: { shape.isWord($0, "CAST") })
                || range.first.map({ shape.isSymbol($0, "+") }) == true
            {
                throw SelectShape.Failure(reason: "it groups by an expression whose collation is not known")
            }
            return .binary
        }
        guard let (table, column) = column(range, shape, items) else { return .binary }
        guard let collation = connection.collation(ofColumn: column.name, of: table).flatMap(KeyCollation.init) else {
            throw SelectShape.Failure(reason: "it groups by a column with a collation of its own")
        }
        return collation
    }

    /// The column that an expression names, and its table.
    private func column(
        _ range: Range<Int>,
        _ shape: SelectShape,
        _ items: [SelectCore.Item]
    ) -> (table: String, column: ColumnDescription)? {
        guard let (qualifier, name) = columnName(shape.withoutParentheses(range), shape) else { return nil }
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
    private func columnName(_ range: Range<Int>, _ shape: SelectShape) -> (qualifier: SQLName?, name: SQLName)? {
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

    // MARK: Keys

    /// The result columns that contain the keys of all tables: together they identify a row.
    private func resultKey(_ shape: SelectShape, _ items: [SelectCore.Item], isGrouped: Bool) -> [Int]? {
        if isGrouped { return nil }
        // The position of each item's columns in the result; a star shifts the following ones.
        var places: [(item: Int, name: SQLName, place: Int)] = []
        var next = 0
        let hasUsing = shape.items.contains { $0.isNatural || $0.hasUsing }
        for column in shape.columns {
            if column.isStar {
                if hasUsing { return nil }
                let wanted = column.starTable.map { SQLName($0).caseFolded }
                for (number, item) in items.enumerated()
                where wanted == nil || SQLName(unquoted: item.name).caseFolded == wanted {
                    for entry in item.table.columns where entry.visibility != .hidden {
                        places.append((number, SQLName(entry.name).caseFolded, next))
                        next += 1
                    }
                }
                continue
            }
            if let (qualifier, name) = columnName(column.tokens, shape) {
                let owners = items.indices.filter { number in
                    if let qualifier { return SQLName(unquoted: items[number].name).caseFolded == qualifier }
                    return items[number].table.columns.contains { SQLName($0.name).caseFolded == name }
                }
                if owners.count == 1 { places.append((owners[0], name, next)) }
            }
            next += 1
        }
        var key: [Int] = []
        for (number, item) in items.enumerated() {
            let table = item.table
            var names: [SQLName]
            if let alias = table.rowidAlias {
                names = [SQLName(table.columns[alias].name).caseFolded]
            } else {
                guard !table.primaryKey.isEmpty,
                    table.primaryKey.allSatisfy({ table.columns[$0].isNotNull || !table.hasRowid })
                else { return nil }
                names = table.primaryKey.map { SQLName(table.columns[$0].name).caseFolded }
            }
            for name in names {
                guard let found = places.first(where: { $0.item == number && $0.name == name }) else { return nil }
                key.append(found.place)
            }
        }
        return key
    }

    /// The result columns that are the expressions of GROUP BY; nil when some are missing.
    private func groupKey(_ shape: SelectShape) -> [Int]? {
        if shape.columns.contains(where: \.isStar) { return nil }
        var key: [Int] = []
        for range in shape.groupBy {
            guard let resolved = try? groupExpression(range, shape),
                let place = shape.columns.firstIndex(where: { shape.areSameExpression($0.tokens, resolved) })
            else { return nil }
            key.append(place)
        }
        return key
    }

    private func chooseKey(_ request: LiveQueryRequest, _ plan: inout LivePlan) throws(LiveRefusal) {
        guard let names = request.key else { return }
        guard !names.isEmpty else { throw LiveRefusal(.sqlError, "key names no column") }
        var key: [Int] = []
        for name in names {
            guard let place = plan.columns.firstIndex(where: { SQLName($0) == SQLName(name) }) else {
                throw LiveRefusal(
                    .sqlError,
                    "key names the column \"\(name)\"; the result has \(plan.columns.map { "\"\($0)\"" }.joined(separator: ", "))"
                )
            }
            key.append(place)
        }
        let isProved = plan.key.map { Set($0).isSubset(of: key) } ?? false
        plan.key = key
        guard !isProved else { return }
        // The rows must be kept to check whether it is a key.
        plan.mustCheckKey = true
        plan = plan.asRerun("its key is not proved by its tables' primary keys")
    }
}

extension SQLName {
    /// The content of a name in double quotes.
    init(unquoted text: String) {
        self.init(String(text.dropFirst().dropLast()).replacing("\"\"", with: "\""))
    }
}
