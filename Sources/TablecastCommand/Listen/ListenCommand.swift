import ArgumentParser
import Tablecast
import TablecastClient
import WireProtocol

struct ListenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Print the changes of a database as they are committed.",
        usage: """
            tablecast listen --rows values
            tablecast listen ws://db.example.com:3001 --channels tables,queries --tables 'invoice*'
            tablecast listen music.db --json | jq .data.tableName
            tablecast listen --json --rows values --state position.json | my-consumer
            """,
        discussion: """
            With a server, prints the messages of its channels. After a lost connection it reconnects and first prints the \
            missed changes, or a warning if the server cannot resume. With a file, watches it directly, without a server.

            Runs until Ctrl-C. \(ExitReason.helpText)
            """
    )

    @Argument(
        help: "A server's address or a SQLite file; by default \(ServerAddress.preferredText).",
        completion: .file()
    )
    var source: String?

    @Option(
        help: "The channels, separated by commas: tables, queries, notifications, collaboration; default tables.",
        transform: ChannelList.init
    )
    var channels = ChannelList([.tables])

    @Option(help: "Only these tables: names or globs, separated by commas; default all.", transform: NameList.init)
    var tables: NameList?

    @Option(
        help: "Only these operations, separated by commas: insert, update, delete, schema; default all.",
        transform: NameList.init
    )
    var operations: NameList?

    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only rows that match this SQL expression over the columns of the one table in --tables; all rows by default.",
            valueName: "expression"
        )
    )
    var condition: String?

    @Option(
        name: [.customLong("param"), .customShort("p")],
        help: ArgumentHelp("A parameter of --where, in the form of --param of query.", valueName: "value")
    )
    var parameters: [ParameterArgument] = []

    @Option(help: "The detail of changed rows: none, keys or values; default keys.", transform: rowLevel)
    var rows = RowLevel.keys

    @Option(
        help: ArgumentHelp(
            "Start after this position; by default with the next change.",
            valueName: "position"
        )
    )
    var since: String?

    @Flag(help: "Print the JSON messages unchanged, one per line.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Keep the position in this file, and continue after it: an at-least-once pipe, with --json. By default it is not kept.",
            discussion: """
                Written after the lines of each transaction. Waits for a server that cannot be reached. After a gap, the line \
                'subscribed' says "recovered":false. --since applies while there is no file.
                """,
            valueName: "file"
        ),
        completion: .file()
    )
    var state: String?

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func validate() throws {
        if state != nil {
            guard json else {
                throw ValidationError("--state requires --json: other output has no replies of the server.")
            }
            guard !isFile else { throw ValidationError("--state requires a server: a file has no history.") }
            guard channels.channels.contains(.tables) else {
                throw ValidationError("--state requires the channel tables: other channels have no positions.")
            }
        }
        _ = try filter
        if isFile, since != nil || channels.channels != [.tables] {
            throw ValidationError(
                "--since and --channels require a server: a file has no history and no other channels."
            )
        }
        if let since { try asValidationError { () throws(ProtocolError) in _ = try Position(parsing: since) } }
    }
}

private func rowLevel(_ text: String) throws -> RowLevel {
    guard let level = RowLevel(rawValue: text) else {
        throw ValidationError("Expected none, keys or values, found '\(text)'.")
    }
    return level
}

/// Reports an error of the protocol's own checks as an invalid option.
private func asValidationError<Value>(_ body: () throws(ProtocolError) -> Value) throws -> Value {
    do {
        return try body()
    } catch {
        throw ValidationError(error.message)
    }
}

/// Channels, separated by commas.
struct ChannelList: Sendable {
    var channels: [MessageChannel]

    init(_ channels: [MessageChannel]) { self.channels = channels }

    init(_ text: String) throws {
        channels = try asValidationError { () throws(ProtocolError) in try MessageChannel.parseList(text) }
    }
}

/// Names, separated by commas.
struct NameList: Sendable {
    var names: [String]

    init(_ text: String) { names = text.split(separator: ",").map(String.init) }
}

extension ListenCommand {
    var filter: TableFilter {
        get throws {
            let rowCondition = try rowCondition
            return try asValidationError { () throws(ProtocolError) in
                var kinds: TableOperations = operations == nil ? .all : []
                for name in operations?.names ?? [] { kinds.formUnion(try TableOperations(parsing: name)) }
                return try TableFilter(
                    tables: tables?.names,
                    operations: kinds,
                    rowLevel: rows,
                    condition: rowCondition
                )
            }
        }
    }
}

extension ListenCommand {
    private var rowCondition: RowCondition? {
        get throws {
            guard let condition else {
                guard parameters.isEmpty else { throw ValidationError("--param requires --where.") }
                return nil
            }
            guard condition.utf8.count <= RowCondition.maxSQLBytes else {
                throw ValidationError("--where has more than \(RowCondition.maxSQLBytes) bytes.")
            }
            guard tables?.names.count == 1 else {
                throw ValidationError("--where requires exactly one table in --tables, to whose columns it refers.")
            }
            return RowCondition(
                sql: condition,
                parameters: try ParameterArgument.parameters(parameters, of: condition)
            )
        }
    }
}

extension ListenCommand {
    func run() async throws {
        try await reportingFailure {
            let output = ListenOutput(isJSON: json)
            if isFile, let source {
                // FileListener reports a file that cannot be read.
                if !tableNames.isEmpty, let document = try? LocalDatabase.tables(path: source) {
                    noteMissingTables(in: document)
                }
                try await FileListener(path: source, filter: filter, output: output).run()
            } else {
                try await followServer(output)
            }
        }
    }

    /// Whether the source is a file rather than a server.
    private var isFile: Bool { source.map { !ServerAddress.looksLikeAddress($0) } ?? false }

    /// The names in --tables that are no patterns.
    private var tableNames: [String] {
        tables?.names.filter { !$0.contains { "*?[".contains($0) } } ?? []
    }

    /// Prints a note for each table in --tables that does not exist: it may be misspelt, or be created later.
    private func noteMissingTables(at server: ServerConnection) async {
        guard !tableNames.isEmpty else { return }
        // The listener itself reports a server that cannot be reached, and a relay without its source has no list.
        guard let document = try? await server.get("/tables") else { return }
        noteMissingTables(in: document)
    }

    private func noteMissingTables(in document: [UInt8]) {
        guard case .object(let fields)? = try? JSONDocument.parse(document), case .array(let tables)? = fields["tables"]
        else { return }
        let known = Set(
            tables.map { table -> String in
                guard case .object(let fields) = table, case .string(let name)? = fields["name"] else { return "" }
                return name.lowercased()
            }
        )
        for name in tableNames where !known.contains(name.lowercased()) {
            Terminal.error.note(
                "note: there is no table '\(name.printable)' at present; its changes are printed once it exists"
            )
        }
    }

    private func followServer(_ output: ListenOutput) async throws {
        let address = try source.map { try ServerAddress(parsing: $0) } ?? .preferred()
        let server = ServerConnection(address: address, options: connection)
        // validate() has checked the position.
        let position = try since.map { try Position(parsing: $0) }
        await noteMissingTables(at: server)
        let file = try state.map { path throws(CommandFailure) in try PositionFile(path: path) }
        let feed = try server.client().feed(
            channels.channels,
            filter: try filter,
            since: file?.place?.position ?? position,
            resumes: file?.place?.subscription,
            waitsForServer: file != nil
        )
        try await ServerListener(connection: server, output: output, feed: feed, file: file).run()
    }
}
