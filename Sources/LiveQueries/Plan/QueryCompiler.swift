import ChangeCapture
import SQLiteConnection

/// Decides whether and how a query can be kept live: compiles it on a connection, records what it reads, and analyses
/// its text.
struct QueryCompiler {
    private let connection: Connection
    private let schema: SchemaSnapshot
    private let functions: FunctionCatalog
    private let limits: LiveLimits
    private let tableOfRoot: [Int64: String]
    private let sources: Sources

    /// What the virtual tables of the schema read, once it was asked for.
    private final class Sources {
        var virtualTables: VirtualTables?
    }

    /// - Parameter connection: a connection in a transaction with the schema `schema`. Its authorizer is replaced.
    init(_ connection: Connection, schema: SchemaSnapshot, limits: LiveLimits) throws(SQLiteError) {
        self.connection = connection
        self.schema = schema
        self.limits = limits
        functions = try FunctionCatalog(connection)
        tableOfRoot = try OpenedTables.tableOfRoot(on: connection)
        sources = Sources()
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
        try refuseVolatile(reads)
        try refuseTime(request.sql, tokens, values, reads)
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
        try resolve(reads, hasUsing: usesUsing(reads, tokens), into: &plan)
        do {
            let analysis = try SelectAnalysis(request.sql, tokens, connection, schema, functions)
            try analysis.complete(&plan)
        } catch {
            plan.kind = .rerun
            plan.rerunReason = error.reason
        }
        if request.rights.rules != nil {
            // The rows that its tables' changed rows would lead to could be hidden ones.
            plan = plan.asRerun("row rules apply to its tables")
            plan.core = nil
        }
        try chooseKey(request, &plan)
        return plan
    }

    /// The keywords that a SELECT can begin with.
    private static let verbs: Set<String> = ["SELECT", "WITH", "VALUES"]

    // MARK: Compilation

    private typealias Compiled = (reads: ReadSet, columns: [String], values: [SQLiteValue])

    private func compile(_ request: LiveQueryRequest) throws(LiveRefusal) -> Compiled {
        var reads = ReadSet(request.rights)
        let result: Result<Compiled, LiveRefusal>
        do throws(SQLiteError) {
            result = try connection.withRowRules(request.rights.rules) { access, views throws(SQLiteError) in
                reads = ReadSet(request.rights, ruleAccess: access)
                connection.connectVirtualTables(of: request.sql)
                connection.setAuthorizer { [reads] action in reads.note(action) }
                defer { connection.setAuthorizer(nil) }
                return Result { () throws(LiveRefusal) in try compile(request, reads, views) }
            }
        } catch {
            throw request.rights.refusal(error, reads.refusal)
        }
        return try result.get()
    }

    /// Under the authorizer.
    private func compile(
        _ request: LiveQueryRequest,
        _ reads: ReadSet,
        _ views: RowRuleViews
    ) throws(LiveRefusal) -> Compiled {
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
            let columns = (0..<statement.columnCount).map { statement.columnName($0) }
            // The service's own statements.
            connection.setAuthorizer(nil)
            try reads.noteProgram(of: request.sql, on: connection, tableOfRoot)
            try checkOpened(request, views)
            if let refusal = reads.refusal { throw refusal }
            return (reads, columns, values)
        } catch let refusal as LiveRefusal {
            throw refusal
        } catch let error as SQLiteError {
            throw request.rights.refusal(error, reads.refusal)
        } catch {
            throw LiveRefusal(.sqlError, "\(error)")
        }
    }

    /// Refuses the tables with a row rule that views of the file read, where SQLite did not call the authorizer.
    private func checkOpened(_ request: LiveQueryRequest, _ views: RowRuleViews) throws {
        guard let rules = request.rights.rules, let concealment = request.rights.concealment else { return }
        let viewTexts = schema.tables.values.lazy.filter { $0.description.kind == .view }.map(\.description.sql)
        guard OpenedTables.joinsByName(request.sql) || viewTexts.contains(where: OpenedTables.joinsByName) else {
            return
        }
        let opened = try views.openedTables(of: request.sql, on: connection)
        let access = RowRuleAccess(rules)
        if opened.tables.contains(where: access.isRuled) { throw LiveRefusal(.notAuthorized, concealment) }
    }

    private func refuseVolatile(_ reads: ReadSet) throws(LiveRefusal) {
        for function in reads.functions.sorted() {
            if functions.isVolatile(function) {
                throw LiveRefusal(.notLive, "\(function)() gives another value each time; a live query cannot use it")
            }
        }
    }

    private func refuseTime(
        _ sql: String,
        _ tokens: [SQLToken],
        _ values: [SQLiteValue],
        _ reads: ReadSet
    ) throws(LiveRefusal) {
        let own = TimeDependence(sql, tokens, values: values, on: connection)
        let views = reads.views.compactMap { name in schema.tables.values.first { $0.name.caseFolded == name } }
        let others = views.map(\.description.sql).map { TimeDependence($0, SQLLexer.tokens($0), on: connection) }
        if let found = own.place ?? others.lazy.compactMap(\.place).first {
            throw LiveRefusal(
                .notLive,
                "\(found.text) depends on the time; a live query cannot use it: give the time as a parameter",
                offset: own.place?.offset
            )
        }
        // Of a subquery or a view, it can be what the function takes.
        let all = [own] + others
        if all.contains(where: \.readsUnknownTime), all.contains(where: { $0.now != nil }) {
            throw LiveRefusal(
                .notLive,
                "'now' can be the argument of a date function; a live query cannot use it: give the time as a parameter",
                offset: own.now?.offset
            )
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
                // SQLite's own tables, pragmas as tables, and other tables that no statement has created.
                if !OpenedTables.tableFunctions.contains(name.string) { throw Self.unfollowed(name.string) }
                continue
            }
            let description = table.description
            let owner = table.shadowOwner.map { $0 } ?? table.name
            if description.kind == .view { continue }
            var positions: Set<Int>? = hasUsing ? nil : []
            for column in columns {
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
        // After those whose names are known.
        if let name = reads.unfollowed { throw Self.unfollowed(name) }
        try followSources(into: &plan)
    }

    private static func unfollowed(_ name: String) -> LiveRefusal {
        LiveRefusal(.notLive, "changes of \(name) are not reported; a live query cannot read it")
    }

    /// Adds the tables that the plan's virtual tables read in addition to their own.
    private func followSources(into plan: inout LivePlan) throws(LiveRefusal) {
        let virtual = schema.tables.values.filter {
            $0.description.kind == .virtual && plan.dependencies[$0.name] != nil
        }
        guard !virtual.isEmpty else { return }
        let known: VirtualTables
        do throws(SQLiteError) {
            if let tables = sources.virtualTables { known = tables } else { known = try VirtualTables(of: connection) }
        } catch {
            throw LiveRefusal(.unavailable, "the schema cannot be read: \(error.message)")
        }
        sources.virtualTables = known
        for table in virtual {
            guard let names = known.sources(of: table.description.name) else {
                throw LiveRefusal(
                    .notLive,
                    "what the virtual table \(table.description.name) reads is not known; a live query cannot read it"
                )
            }
            for name in names.sorted() {
                guard let source = schema.tables.values.first(where: { $0.name.caseFolded.string == name }) else {
                    throw Self.unfollowed(name)
                }
                if source.description.kind == .view {
                    plan.views.insert(source.name.caseFolded)
                } else {
                    plan.dependencies[source.shadowOwner ?? source.name] = LivePlan.Dependency(columns: nil)
                }
            }
        }
    }

    private static func isOrdered(_ tokens: [SQLToken]) -> Bool {
        tokens.indices.contains { index in
            tokens[index].depth == 0 && tokens[index].kind == .word && tokens[index].text == "ORDER"
        }
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
