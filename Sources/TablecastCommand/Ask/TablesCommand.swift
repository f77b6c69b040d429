import ArgumentParser
import Tablecast
import WireProtocol

struct TablesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tables",
        abstract: "List the tables, views and virtual tables of a database.",
        usage: """
            tablecast tables music.db
            tablecast tables ws://db.example.com:3001 --json
            """,
        discussion: """
            Row counts are estimates, from the statistics of ANALYZE or else from the highest rowid.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: "A server's address or a SQLite file; by default \(ServerAddress.preferredText).",
        completion: .file()
    )
    var source: String?

    @Flag(help: "Print the list as one JSON document.")
    var json = false

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func run() async throws {
        try await reportingFailure {
            let document: [UInt8] =
                switch try Source(source) {
                case .file(let path): try LocalDatabase.tables(path: path)
                case .server(let address):
                    try await ServerConnection(address: address, options: connection).get("/tables")
                }
            _ = try Terminal.output.write(json ? String(decoding: document, as: UTF8.self) + "\n" : text(document))
        }
    }

    private func text(_ document: [UInt8]) throws -> String {
        guard case .object(let fields) = try JSONDocument.parse(document), case .array(let tables)? = fields["tables"]
        else {
            throw JSONDocument.unexpected
        }
        let terminal = Terminal.output
        var layout = ColumnLayout(
            titles: ["name", "kind", "rows"],
            lineWidth: terminal.isInteractive ? terminal.columnCount : .max,
            palette: terminal.palette
        )
        let rows = tables.map { table in
            guard case .object(let fields) = table else { return [Cell(.text, ""), Cell(.text, ""), Cell(.null, "")] }
            return [
                Cell(.text, JSONDocument.text(fields["name"])), Cell(.text, JSONDocument.text(fields["kind"])),
                fields["rowEstimate"].map { Cell(.number, "~\(JSONDocument.text($0))") } ?? Cell(.null, ""),
            ]
        }
        return layout.append(rows) + layout.flush()
    }
}

/// Reads a server's HTTP responses without a type for each.
enum JSONDocument {
    static let unexpected = CommandFailure(
        .protocolError,
        "unexpected response from the server; is it another version?"
    )

    static func parse(_ bytes: [UInt8]) throws(CommandFailure) -> JSONValue {
        do { return try JSONValue(parsing: bytes) } catch {
            throw CommandFailure(.protocolError, "the server's response is \(error)")
        }
    }

    /// The value as readable text.
    static func text(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null: ""
        case .string(let text): text
        case .integer(let number): Figures.grouped(Int(number))
        case .number(let number): "\(number)"
        case .bool(let flag): flag ? "yes" : "no"
        case .array(let values): values.map { text($0) }.joined(separator: ", ")
        case .object(let fields):
            fields.sorted { $0.key < $1.key }.map { "\($0.key) \(text($0.value))" }.joined(separator: ", ")
        }
    }
}
