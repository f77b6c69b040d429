import ArgumentParser
import Logging

/// The log options of `serve`, which logs to standard error.
struct LoggingOptions: ParsableArguments {
    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text
        case json
    }

    @Option(
        help: """
            The minimum level of log entries on stderr: trace, debug, info, notice, warning or error; default notice. \
            'info' includes each client and refusal, 'debug' each request and query, 'trace' each step and transaction.
            """,
        transform: parseLogLevel
    )
    var logLevel = Logger.Level.notice

    @Option(help: "The format of log entries: text, or json with one object per line.")
    var logFormat = Format.text

    @Option(help: "Log queries that take at least this long with their SQL: a duration such as 500ms, 1s; 0 for none.")
    var slowQuery = DurationArgument(.seconds(1))
}

private func parseLogLevel(_ text: String) throws -> Logger.Level {
    guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError("Expected one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return level
}
