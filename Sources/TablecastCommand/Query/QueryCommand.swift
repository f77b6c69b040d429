import ArgumentParser
import WireProtocol

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Run SQL through a server and print the rows.",
        usage: """
            tablecast query "SELECT * FROM track WHERE title LIKE ?" --param '%rain%'
            tablecast query ws://db.example.com:3001 "DELETE FROM job WHERE at < :day" --param :day=2024-01-01
            tablecast query --csv - < report.sql > report.csv
            """,
        discussion: """
            Several statements are one transaction: all of them happen or none. Rows are printed as they arrive; a \
            progress bar is drawn on stderr where that is a terminal. Ctrl-C cancels the query on the server.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The server, \(ServerAddress.default) unless told otherwise, and the SQL; - reads it from standard input.",
            valueName: "[server] sql"
        )
    )
    var arguments: [String]

    @Option(
        name: [.customLong("param"), .customShort("p")],
        help: ArgumentHelp(
            "A parameter, in order; :name=value for a named one. 5, 1.5, NULL and x'00ff' are what they look like, '5' is text.",
            valueName: "value"
        )
    )
    var parameters: [ParameterArgument] = []

    @Flag(exclusivity: .exclusive, help: "How rows are printed; aligned columns otherwise.")
    var output: Output?

    @Option(help: "Cancel the query after this time.")
    var timeout: DurationArgument?

    @Option(help: ArgumentHelp("Stop after so many rows.", valueName: "count"))
    var maxRows: Int?

    @Flag(help: "Commit each statement of a script by itself.")
    var notAtomic = false

    @OptionGroup(title: "The connection") var connection: ConnectionOptions

    enum Output: EnumerableFlag {
        case json
        case csv

        static func help(for value: Output) -> ArgumentHelp? {
            switch value {
            case .json: "Print one JSON object a line."
            case .csv: "Print comma-separated values."
            }
        }
    }

    func validate() throws {
        guard arguments.count == 1 || arguments.count == 2 else {
            throw ValidationError("Expected the SQL, or a server and the SQL. Put the SQL in quotes.")
        }
        if arguments.count == 2, !ServerAddress.looksLikeAddress(arguments[0]) {
            throw ValidationError("'\(arguments[0])' is not the address of a server. Put the SQL in quotes.")
        }
        if let maxRows, maxRows < 0 { throw ValidationError("--max-rows must not be negative.") }
        _ = try ParameterArgument.json(parameters)
    }
}

extension QueryCommand {
    /// Where to run it.
    var address: ServerAddress {
        get throws { arguments.count == 2 ? try ServerAddress(parsing: arguments[0]) : .default }
    }

    /// The `data` of the request, apart from its id.
    func data(sql: String) throws -> [String: JSONValue] {
        var data: [String: JSONValue] = ["sql": .string(sql), "rowFormat": "arrays"]
        data["params"] = try ParameterArgument.json(parameters)
        data["timeout"] = timeout.map { .integer($0.duration.milliseconds) }
        data["maxRows"] = maxRows.map { .integer(Int64($0)) }
        if notAtomic { data["atomic"] = false }
        return data
    }
}
