import ArgumentParser
import WireProtocol

struct ListenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Print the changes of a database as they are committed.",
        usage: """
            tablecast listen --rows values
            tablecast listen ws://db.example.com:3001 --channels tables,queries --tables 'invoice*'
            tablecast listen music.db --json | jq .data.tableName
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

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func validate() throws {
        _ = try ParameterArgument.json(parameters)
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
            try asValidationError { () throws(ProtocolError) in
                var kinds: TableOperations = operations == nil ? .all : []
                for name in operations?.names ?? [] { kinds.formUnion(try TableOperations(parsing: name)) }
                return try TableFilter(
                    tables: tables?.names,
                    operations: kinds,
                    rowLevel: rows,
                    condition: RowCondition(where: condition, params: parametersJSON)
                )
            }
        }
    }

    private var parametersJSON: String? {
        // validate() reports their errors.
        guard let json = try? ParameterArgument.json(parameters) else { return nil }
        var writer = JSONWriter()
        writer.value(json)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// The `data` of the subscription to `tables`, apart from its `since`.
    var subscription: [String: JSONValue] {
        var data: [String: JSONValue] = ["rows": .string(rows.rawValue)]
        data["tables"] = tables.map { .array($0.names.map { .string($0) }) }
        data["where"] = condition.map { .string($0) }
        // validate() has checked them.
        data["params"] = try? ParameterArgument.json(parameters)
        data["operations"] = operations.map { .array($0.names.map { .string($0) }) }
        return data
    }
}

extension ListenCommand {
    func run() async throws {
        try await reportingFailure {
            let output = ListenOutput(isJSON: json)
            if isFile, let source {
                try await FileListener(path: source, filter: filter, output: output).run()
            } else {
                try await followServer(output)
            }
        }
    }

    /// Whether the source is a file rather than a server.
    private var isFile: Bool { source.map { !ServerAddress.looksLikeAddress($0) } ?? false }

    private func followServer(_ output: ListenOutput) async throws {
        let address = try source.map { try ServerAddress(parsing: $0) } ?? .preferred()
        let session = ListenSession(
            channels: channels.channels,
            subscription: subscription,
            since: since,
            isVerbatim: json
        )
        var listener = ServerListener(
            connection: ServerConnection(address: address, options: connection),
            output: output,
            session: session
        )
        try await listener.run()
    }
}
