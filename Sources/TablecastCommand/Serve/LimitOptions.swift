import ArgumentParser
import QueryEngine
import Tablecast
import WebSocketTransport

/// The limits of `serve`: each by its name, and the common ones by an option of their own.
struct LimitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The maximum number of connected clients; further ones are refused with 503. Default 100.",
            valueName: "number"
        )
    )
    var maxConnections: String?

    @Option(
        help: ArgumentHelp(
            "The interval between heartbeats: a duration such as 500ms, 30s, 5m, or none. Default 30s.",
            valueName: "duration"
        )
    )
    var heartbeatInterval: String?

    @Option(
        help: ArgumentHelp(
            "The maximum size of a client's message, in bytes or as 64k, 16M. Default 1M.",
            valueName: "bytes"
        )
    )
    var maxMessageBytes: String?

    @Option(
        help: ArgumentHelp(
            "The maximum outbound queue of a client, in bytes or as 64k, 16M; beyond it the client is closed with 4413. Default 8M.",
            valueName: "bytes"
        )
    )
    var maxQueuedBytes: String?

    @Option(
        help: ArgumentHelp(
            "The timeout of queries that set none, including their time in the queue: a duration such as 500ms, 30s, 5m. Default 30s.",
            valueName: "duration"
        )
    )
    var queryTimeout: String?

    @Option(
        help: ArgumentHelp(
            "The number of queries that can read at the same time, 1 to 64. Default 4.",
            valueName: "number"
        )
    )
    var readers: String?

    @Option(
        help: ArgumentHelp(
            "The maximum size of a string, blob or row in a query, in bytes or as 64k, 16M. Default 16M.",
            valueName: "bytes"
        )
    )
    var maxValueBytes: String?

    @Option(
        help: ArgumentHelp("The maximum memory of one query, in bytes or as 64M, 1G. Default 128M.", valueName: "bytes")
    )
    var maxQueryMemory: String?

    @Option(
        help: ArgumentHelp(
            "The maximum size of one query's temporary files, in bytes or as 64M, 1G; four times as much for all queries. Default 1G.",
            valueName: "bytes"
        )
    )
    var maxTemporaryBytes: String?

    @Option(
        help: ArgumentHelp(
            "Any limit by its name, such as query.maxRows=10000 or hub.history.maxAge=2h; repeatable; by default none is changed.",
            discussion: "The article Operating lists all limits. The options above prevail over this one.",
            valueName: "name=value"
        ),
        transform: LimitArgument.init
    )
    var limit: [LimitArgument] = []

    func validate() throws { _ = try limits() }

    /// How long a client has to answer a close frame: stopping must fit into five seconds in total.
    static let closeTimeout = Duration.milliseconds(1500)

    /// The options of their own: the key in a settings file, and the limit that it sets.
    static let shortcuts: [(key: String, limit: String)] = [
        ("maxConnections", "clients.maxConnections"), ("heartbeatInterval", "connection.heartbeatInterval"),
        ("maxMessageBytes", "connection.maxMessageBytes"), ("maxQueuedBytes", "hub.maxQueuedBytes"),
        ("queryTimeout", "query.statementTime"), ("readers", "query.readerCount"),
        ("maxValueBytes", "query.evaluation.maxValueBytes"), ("maxQueryMemory", "query.maxMemoryBytes"),
        ("maxTemporaryBytes", "query.maxTemporaryBytes"),
    ]

    /// The values of ``shortcuts``, in their order.
    private var values: [String?] {
        [
            maxConnections, heartbeatInterval, maxMessageBytes, maxQueuedBytes, queryTimeout, readers, maxValueBytes,
            maxQueryMemory, maxTemporaryBytes,
        ]
    }

    /// The given options and limits that concern a database which this process opens, and so have no effect on a relay.
    var optionsOfQueries: [String] {
        func concernsDatabase(_ name: String) -> Bool {
            ["query.", "live.", "capture.", "transaction.", "snapshot."].contains { name.hasPrefix($0) }
        }
        return zip(Self.shortcuts, values).filter { concernsDatabase($0.limit) && $1 != nil }
            .map { "--" + ServeSettings.kebab($0.0.key) }
            + limit.map(\.setting.name).filter(concernsDatabase).map { "--limit \($0)" }
    }

    /// The defaults of `serve`, then the limits by name in their order, then the options of their own.
    func limits() throws -> Limits {
        var limits = Limits()
        limits.connection.closeTimeout = Self.closeTimeout
        for argument in limit { argument.set(in: &limits) }
        for ((key, name), value) in zip(Self.shortcuts, values) {
            guard let value else { continue }
            try LimitArgument(name, value, option: "--" + ServeSettings.kebab(key)).set(in: &limits)
        }
        // All queries may use four times as much as one, unless the limit of all is given.
        if !limit.contains(where: { $0.setting.name == "query.maxTotalTemporaryBytes" }) {
            limits.query.maxTotalTemporaryBytes = 4 * limits.query.maxTemporaryBytes
        }
        return limits
    }
}
