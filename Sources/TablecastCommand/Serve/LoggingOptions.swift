import ArgumentParser
import Logging

/// What `serve` writes to standard error while it runs.
struct LoggingOptions: ParsableArguments {
    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text
        case json
    }

    @Option(
        help: """
            What is logged to stderr: trace, debug, info, notice, warning or error. 'info' has each client and refusal, \
            'debug' each request and query, 'trace' each step and transaction.
            """,
        transform: parseLogLevel
    )
    var logLevel = Logger.Level.notice

    @Option(help: "How entries are written: text, or json with one object a line.")
    var logFormat = Format.text

    @Option(help: "Queries that take this long are logged with their SQL: a duration such as 500ms, 1s; 0 for none.")
    var slowQuery = DurationArgument(.seconds(1))
}

private func parseLogLevel(_ text: String) throws -> Logger.Level {
    guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError("Expected one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return level
}
