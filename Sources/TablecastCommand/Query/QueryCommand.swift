import ArgumentParser
import UnixSignals
import WebSocketTransport
import WireProtocol

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Run SQL on a server or a file and print the rows.",
        usage: """
            tablecast query music.db "SELECT count(*) FROM track"
            tablecast query "SELECT * FROM track WHERE title LIKE ?" --param '%rain%'
            tablecast query ws://db.example.com:3001 "DELETE FROM job WHERE at < :day" --param :day=2024-01-01
            tablecast query --csv -f report.sql > report.csv
            tablecast query --live "SELECT name, count(*) FROM genre JOIN track USING (genre_id) GROUP BY 1"
            """,
        discussion: """
            Several statements run as one transaction. Rows are printed as they arrive; if stderr is a terminal, it shows a \
            progress bar. Ctrl-C cancels the query. A file needs no server; a server that watches the file publishes the \
            changes. On a terminal, rows that are too wide for a table are printed one value per line.

            --live subscribes to one SELECT until Ctrl-C: its rows are printed again after every commit that changes them, \
            on a terminal in place; with --json the messages are printed as they arrive.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The server or SQLite file, by default \(ServerAddress.preferredText), and the SQL; - reads the SQL from standard input.",
            valueName: "[server or file] sql"
        ),
        completion: .file()
    )
    var arguments: [String] = []

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("Run the SQL in this file; - is standard input.", valueName: "sql-file"),
        completion: .file(extensions: ["sql"])
    )
    var scriptFile: String?

    @Option(
        name: [.customLong("param"), .customShort("p")],
        help: ArgumentHelp(
            "A parameter, in order; :name=value for a named one. 5, 1.5, NULL and x'00ff' are SQL literals; '5' is text.",
            valueName: "value"
        )
    )
    var parameters: [ParameterArgument] = []

    @Flag(exclusivity: .exclusive, help: "The output format; aligned columns by default.")
    var output: Output?

    @Option(
        help: ArgumentHelp(
            "Cancel the query after this time: 500ms, 30s, 5m, 1h; a number without a unit is in seconds.",
            discussion: "The default is the server's --query-timeout, normally 30s; for a file there is no timeout.",
            valueName: "duration"
        )
    )
    var timeout: DurationArgument?

    @Option(help: ArgumentHelp("Stop after this number of rows; no limit by default.", valueName: "count"))
    var maxRows: Int?

    @Flag(help: "Commit each statement of a script separately.")
    var notAtomic = false

    @Flag(help: "Subscribe to a SELECT and print its rows again after every commit that changes them.")
    var live = false

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    enum Output: EnumerableFlag {
        case json
        case csv
        case vertical

        static func help(for value: Output) -> ArgumentHelp? {
            switch value {
            case .json: "Print one JSON object per line."
            case .csv: "Print comma-separated values."
            case .vertical: "Print one value per line."
            }
        }
    }

    func validate() throws {
        try validateArguments()
        if live, timeout != nil || maxRows != nil || notAtomic {
            throw ValidationError("--live cannot be combined with --timeout, --max-rows or --not-atomic.")
        }
        if let maxRows, maxRows < 0 { throw ValidationError("--max-rows must not be negative.") }
        _ = try ParameterArgument.parameters(parameters)
    }
}

extension QueryCommand {
    /// The target of the query.
    var source: Source {
        get throws { try Source(arguments.count == (scriptFile == nil ? 2 : 1) ? arguments[0] : nil) }
    }

    private func validateArguments() throws {
        if let scriptFile {
            guard arguments.count <= 1 else {
                throw ValidationError("-f \(scriptFile) cannot be combined with SQL in an argument.")
            }
            try validateSource(arguments.first)
            return
        }
        guard arguments.count == 1 || arguments.count == 2 else {
            throw ValidationError("Expected the SQL, or a server or file and the SQL. Put the SQL in quotes.")
        }
        let sql = arguments[arguments.count - 1]
        let isOneWord = !sql.contains { $0.isWhitespace }
        if isOneWord, sql.lowercased().hasSuffix(".sql") {
            throw ValidationError("'\(sql)' is a file name, not SQL: run the file with -f \(sql).")
        }
        if isOneWord, arguments.count == 1, Source.isFile(sql) {
            throw ValidationError("'\(sql)' is a file and the SQL is missing: tablecast query \(sql) \"SELECT …\".")
        }
        try validateSource(arguments.count == 2 ? arguments[0] : nil)
    }

    private func validateSource(_ text: String?) throws {
        guard let text, !ServerAddress.looksLikeAddress(text) else { return }
        // Text that looks like a path is one; opening it reports whether the file exists.
        guard Source.isFile(text) || text.contains(where: { "./".contains($0) }) else {
            throw ValidationError("'\(text)' is neither a server address nor a file. Put the SQL in quotes.")
        }
    }

    /// The request, apart from its id.
    func request(sql: String) throws -> QueryRequest {
        QueryRequest(
            sql: sql,
            parameters: try ParameterArgument.parameters(parameters, of: sql),
            rowFormat: .arrays,
            maxRows: maxRows,
            timeout: timeout?.duration,
            isAtomic: !notAtomic
        )
    }
}

extension QueryCommand {
    /// The command line with SQL that begins with a comment moved to the end, behind `--`: otherwise it would be read as an
    /// option.
    static func separatingSQL(in arguments: [String]) -> [String] {
        guard arguments.first == configuration.commandName, !arguments.contains("--"),
            let place = arguments.lastIndex(where: isComment)
        else { return arguments }
        var arguments = arguments
        let sql = arguments.remove(at: place)
        return arguments + ["--", sql]
    }

    /// Whether the argument is `--` and text that cannot be the name of an option.
    private static func isComment(_ argument: String) -> Bool {
        guard argument.hasPrefix("--"), argument != "--" else { return false }
        return argument.dropFirst(2).prefix { $0 != "=" }.contains { $0.isWhitespace }
            || argument.dropFirst(2).first?.isLetter == false
    }
}

extension QueryCommand {
    /// The limit of one message to the server, and so of its SQL.
    static let maxSQLBytes = 1 << 20

    func run() async throws {
        try await reportingFailure {
            let sql = try sql()
            if live { return try await follow(sql) }
            let session = QuerySession(
                queryID: "cli-\(String(UInt64.random(in: .min ... .max), radix: 36))",
                request: try request(sql: sql),
                printer: ResultPrinter(format: format, palette: Terminal.output.palette),
                palette: Terminal.error.palette,
                errorWidth: Terminal.error.columnCount
            )
            switch try source {
            case .file(let path):
                try await finish(session, LocalConnection(path: path))
            case .server(let address):
                try await finish(session, ServerConnection(address: address, options: connection).open())
            }
        }
    }

    private func follow(_ sql: String) async throws {
        guard case .server(let address) = try source else {
            throw CommandFailure(.usage, "--live needs a server", advice: "Start one with: tablecast serve FILE")
        }
        let request = LiveQueryRequest(sql: sql, parameters: try ParameterArgument.parameters(parameters, of: sql))
        let server = ServerConnection(address: address, options: connection)
        let session = LiveQuerySession(format: format, palette: Terminal.output.palette)
        let outcome = try await LiveQueryRun(server: server, request: request).run(session)
        try finish(outcome)
    }

    private func finish(_ session: QuerySession, _ connection: some QueryConnection) async throws {
        let outcome = try await outcome(of: ServerQuery(session, connection))
        await connection.close()
        try finish(outcome)
    }

    private func sql() throws -> String {
        if let scriptFile { return try SQLInput.file(scriptFile, maxBytes: Self.maxSQLBytes) }
        let sql = arguments[arguments.count - 1]
        return sql == "-" ? try SQLInput.standardInput(maxBytes: Self.maxSQLBytes) : sql
    }

    private var format: ResultFormat {
        switch output {
        case .json: .json
        case .csv: .csv
        case .vertical: .vertical
        case nil: .table(lineWidth: Terminal.output.isInteractive ? Terminal.output.columnCount : .max)
        }
    }

    private func outcome(of run: ServerQuery<some QueryConnection>) async throws -> QuerySession.Outcome {
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: QuerySession.Outcome?.self) { group in
            group.addTask { try await run.converse() }
            group.addTask {
                for await _ in interrupts {
                    if let outcome = try await run.interrupt() { return outcome }
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            return .cancelled(message: "interrupted")
        }
    }

    private func finish(_ outcome: QuerySession.Outcome) throws {
        let terminal = Terminal.error
        switch outcome {
        case .complete(let summary):
            if terminal.isInteractive, !summary.isEmpty { terminal.note(terminal.palette(.dim, summary)) }
        case .failed(let message, let status):
            terminal.note(terminal.palette(.boldRed, "error:") + " " + message)
            throw status.exitCode
        case .cancelled(let message):
            terminal.note(terminal.palette(.yellow, message))
            throw ExitReason.interrupted.exitCode
        }
    }
}
