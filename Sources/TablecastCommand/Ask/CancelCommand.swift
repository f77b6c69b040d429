import ArgumentParser
import TablecastClient

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancel a queued or running query on a server.",
        usage: "tablecast cancel ws://db.example.com:3001 cli-1x2y3z",
        discussion: """
            tablecast listen --channels queries shows the ids of queries. With tokens, a client can cancel its own queries; the \
            admin role can cancel all.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The server, by default \(ServerAddress.preferredText), and the id of the query.",
            valueName: "[server] query-id"
        )
    )
    var arguments: [String]

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func validate() throws {
        guard arguments.count == 1 || arguments.count == 2 else {
            throw ValidationError("Expected the id of a query, or a server and the id.")
        }
    }

    func run() async throws {
        try await reportingFailure {
            let (address, queryID) = try ServerAddress.split(arguments)
            let path = "/query/\(queryID.percentEncoded)/cancel"
            _ = try await ServerConnection(address: address, options: connection).post(path)
        }
    }
}
