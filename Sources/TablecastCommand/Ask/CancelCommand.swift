import ArgumentParser

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancel a query that waits or runs on a server.",
        usage: "tablecast cancel ws://db.example.com:3001 cli-1x2y3z",
        discussion: """
            tablecast listen --channels queries shows the ids of queries. One's own may be cancelled, and those of others by \
            administrators.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The server, \(ServerAddress.preferredText) unless told otherwise, and the query's id.",
            valueName: "[server] query-id"
        )
    )
    var arguments: [String]

    @OptionGroup(title: "The connection") var connection: ConnectionOptions

    func validate() throws {
        guard arguments.count == 1 || arguments.count == 2 else {
            throw ValidationError("Expected the id of a query, or a server and the id.")
        }
    }

    func run() async throws {
        try await reportingFailure {
            let (address, queryID) = try ServerAddress.split(arguments)
            let path = "/query/\(ServerConnection.percentEncoded(queryID))/cancel"
            _ = try await ServerConnection(address: address, options: connection).post(path)
        }
    }
}
