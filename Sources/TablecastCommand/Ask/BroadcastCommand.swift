import ArgumentParser
import WireProtocol

struct BroadcastCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broadcast",
        abstract: "Send an application message to the clients of a server.",
        usage: """
            tablecast broadcast '{"text": "back in five minutes"}'
            tablecast broadcast ws://db.example.com:3001 --type chat:message --channel collaboration '{"text": "hi"}'
            """,
        discussion: """
            Requires the admin role. All clients receive the message, or with --channel the subscribers of one channel.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The server, by default \(ServerAddress.preferredText), and the data of the message: a JSON object.",
            valueName: "[server] data"
        )
    )
    var arguments: [String]

    @Option(
        help:
            "Send only to the subscribers of tables, queries, notifications or collaboration; by default to all clients."
    )
    var channel: String?

    @Option(help: "The type of the message, an application-defined name.")
    var type = "notification"

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func validate() throws {
        guard arguments.count == 1 || arguments.count == 2 else {
            throw ValidationError("Expected the data of the message, or a server and the data of the message.")
        }
        _ = try message
    }

    func run() async throws {
        try await reportingFailure {
            let (address, _) = try ServerAddress.split(arguments)
            var writer = JSONWriter()
            writer.value(.object(try message))
            _ = try await ServerConnection(address: address, options: connection).post(
                "/broadcast",
                body: writer.bytes
            )
        }
    }

    private var message: [String: JSONValue] {
        get throws {
            let data: JSONValue
            do { data = try JSONValue(parsing: arguments[arguments.count - 1]) } catch {
                throw ValidationError("The data is \(error).")
            }
            guard case .object = data else {
                throw ValidationError("The data must be a JSON object, such as {\"text\": \"hi\"}.")
            }
            var message: [String: JSONValue] = ["type": .string(type), "data": data]
            if let channel {
                do throws(ProtocolError) {
                    message["channel"] = .string(try MessageChannel(parsing: channel).rawValue)
                } catch {
                    throw ValidationError("--channel: \(error.message)")
                }
            }
            return message
        }
    }
}
