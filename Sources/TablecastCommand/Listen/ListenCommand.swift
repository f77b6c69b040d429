import ArgumentParser
import WireProtocol

struct ListenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Print what happens to a database, as it happens.",
        usage: """
            tablecast listen --rows values
            tablecast listen ws://db.example.com:3001 --channels tables,queries --tables 'invoice*'
            tablecast listen music.db --json | jq .data.tableName
            """,
        discussion: """
            With a server's address, or none, prints the messages of its channels. A lost connection is made again, and \
            what happened meanwhile is printed first; where that is not possible, it says so. With a file, watches it \
            directly: no server is needed.

            Runs until Ctrl-C. \(ExitReason.helpText)
            """
    )

    @Argument(
        help: "A server's address or a SQLite file; the server is \(ServerAddress.preferredText) if left out.",
        completion: .file()
    )
    var source: String?

    @Option(
        help: "Of: tables, queries, notifications, collaboration; separated by commas; tables if left out.",
        transform: ChannelList.init
    )
    var channels = ChannelList([.tables])

    @Option(help: "Only these tables; names or globs, separated by commas; all if left out.", transform: NameList.init)
    var tables: NameList?

    @Option(help: "Of: insert, update, delete, schema; separated by commas; all if left out.", transform: NameList.init)
    var operations: NameList?

    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only rows that match this SQL expression over the columns of the one table in --tables; all rows if left out.",
            valueName: "expression"
        )
    )
    var condition: String?

    @Option(
        name: [.customLong("param"), .customShort("p")],
        help: ArgumentHelp("A parameter of --where, as for query.", valueName: "value")
    )
    var parameters: [ParameterArgument] = []

    @Option(help: "How much of each changed row: none, keys or values; keys if left out.", transform: rowLevel)
    var rows = RowLevel.keys

    @Option(
        help: ArgumentHelp(
            "Begin after this position of the feed; with what comes next if left out.",
            valueName: "position"
        )
    )
    var since: String?

    @Flag(help: "Print the messages as they are, one a line.")
    var json = false

    @OptionGroup(title: "The connection") var connection: ConnectionOptions

    func validate() throws {
        _ = try ParameterArgument.json(parameters)
        _ = try filter
        if isFile, since != nil || channels.channels != [.tables] {
            throw ValidationError("--since and --channels need a server: a file has no history and no other channels.")
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

/// The protocol's own checks say well what is wrong with an option.
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
        // validate() says what is wrong with them.
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
        // validate() has found nothing wrong with them.
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
