import ArgumentParser
import Tablecast
import TablecastClient
import WireProtocol

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Print the SQL of a table with its indexes and triggers.",
        usage: """
            tablecast schema music.db track
            tablecast schema ws://db.example.com:3001 track --json
            """,
        discussion: ExitReason.helpText
    )

    @Argument(
        help: ArgumentHelp(
            "The server or SQLite file, by default \(ServerAddress.preferredText), and the name of the table.",
            valueName: "[server or file] table"
        ),
        completion: .file()
    )
    var arguments: [String]

    @Flag(help: "Print everything about the table as one JSON document.")
    var json = false

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    func validate() throws {
        guard arguments.count == 1 || arguments.count == 2 else {
            throw ValidationError("Expected the name of a table, or a server or file and the name.")
        }
        if arguments.count == 1, Source.isFile(arguments[0]) {
            throw ValidationError(
                "'\(arguments[0])' is a file, and the table is missing: list the tables with tablecast tables \(arguments[0])."
            )
        }
    }

    func run() async throws {
        try await reportingFailure {
            let name = arguments[arguments.count - 1]
            let document: [UInt8]
            switch try Source(arguments.count == 2 ? arguments[0] : nil) {
            case .file(let path):
                guard let found = try LocalDatabase.describe(name, path: path) else {
                    throw CommandFailure(.failure, "no table '\(name)' in '\(path)'")
                }
                document = found
            case .server(let address):
                let path = "/tables?name=\(name.percentEncoded)"
                document = try await ServerConnection(address: address, options: connection).get(path)
            }
            _ = try Terminal.output.write(json ? String(decoding: document, as: UTF8.self) + "\n" : text(document))
        }
    }

    private func text(_ document: [UInt8]) throws -> String {
        guard case .object(let table) = try JSONDocument.parse(document) else { throw JSONDocument.unexpected }
        guard let sql = table["sql"] else { return columns(table["columns"]) }
        let parts = [table["indexes"], table["triggers"]].compactMap { part -> [JSONValue]? in
            if case .array(let objects)? = part { objects } else { nil }
        }.joined()
        let statements = parts.compactMap { object -> String? in
            guard case .object(let fields) = object, case .string(let sql)? = fields["sql"] else { return nil }
            return sql
        }
        return ([JSONDocument.text(sql)] + statements).map { Self.printable($0) + ";\n" }.joined()
    }

    /// The columns, for a token that may not see the SQL.
    private func columns(_ value: JSONValue?) -> String {
        guard case .array(let columns)? = value else { return "" }
        return "-- columns; this token has no access to the SQL\n"
            + columns.map { column in
                guard case .object(let fields) = column else { return "" }
                return Self.printable(
                    "\(SQLName.quoted(JSONDocument.text(fields["name"]))) \(JSONDocument.text(fields["type"]))"
                ) + "\n"
            }.joined()
    }

    /// Line breaks are kept; other control characters could rewrite the terminal.
    private static func printable(_ sql: String) -> String {
        sql.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.split(separator: "\t", omittingEmptySubsequences: false).map { String($0).printable }.joined(
                separator: "\t"
            )
        }.joined(separator: "\n")
    }
}
