import ArgumentParser
import WireProtocol

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Print the status of a server.",
        usage: "tablecast status ws://db.example.com:3001",
        discussion: ExitReason.helpText
    )

    @Argument(help: "The server's address; by default \(ServerAddress.preferredText).")
    var server: String?

    @Flag(help: "Print one JSON document.")
    var json = false

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func run() async throws {
        try await reportingFailure {
            let address = try server.map { try ServerAddress(parsing: $0) } ?? .preferred()
            let document = try await ServerConnection(address: address, options: connection).get("/status")
            _ = try Terminal.output.write(json ? String(decoding: document, as: UTF8.self) + "\n" : text(document))
        }
    }

    private func text(_ document: [UInt8]) throws -> String {
        guard case .object(let fields) = try JSONDocument.parse(document) else { throw JSONDocument.unexpected }
        let names = fields.keys.sorted()
        let width = names.map(\.displayWidth).max() ?? 0
        let palette = Terminal.output.palette
        return names.map { name in
            let value =
                name == "uptime"
                ? Figures.seconds(.seconds(Self.seconds(fields[name]))) : JSONDocument.text(fields[name])
            return palette(.dim, name.printable) + String(repeating: " ", count: width - name.displayWidth + 2)
                + value.printable
                + "\n"
        }.joined()
    }

    private static func seconds(_ value: JSONValue?) -> Double {
        switch value {
        case .integer(let seconds): Double(seconds)
        case .number(let seconds): seconds
        default: 0
        }
    }
}
