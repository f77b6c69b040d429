import ArgumentParser

/// The bounds of the service that an operator may want to move.
struct LimitOptions: ParsableArguments {
    @Option(help: "How many clients may be connected at a time; more are refused with 503.")
    var maxConnections = 100

    @Option(help: "How often clients are pinged: a duration such as 500ms, 30s, 5m.")
    var heartbeatInterval = DurationArgument(.seconds(30))

    @Option(help: "The largest message taken from a client, in bytes or as 64k, 16M; 1M if left out.")
    var maxMessageBytes: ByteCountArgument?

    @Option(
        help:
            "What may wait for a client that does not read, in bytes or as 64k, 16M; past it the client is closed with 4413. 8M if left out."
    )
    var maxQueuedBytes: ByteCountArgument?

    @Option(
        help:
            "How long a query may wait and run that does not say how long: a duration such as 500ms, 30s, 5m; 30s if left out."
    )
    var queryTimeout: DurationArgument?

    @Option(help: "How many queries may read at the same time, 1 to 64; 4 if left out.")
    var readers: Int?

    @Option(help: "The largest string, blob or row that a query may handle, in bytes or as 64k, 16M; 16M if left out.")
    var maxValueBytes: ByteCountArgument?

    @Option(help: "The memory that one query may take, in bytes or as 64M, 1G; 128M if left out.")
    var maxQueryMemory: ByteCountArgument?

    @Option(
        help:
            "The temporary files that one query may take, in bytes or as 64M, 1G; all together four times as much. 1G if left out."
    )
    var maxTemporaryBytes: ByteCountArgument?

    func validate() throws {
        guard maxConnections > 0 else { throw ValidationError("--max-connections must be at least 1.") }
        guard heartbeatInterval.duration >= .milliseconds(100) else {
            throw ValidationError("--heartbeat-interval must be at least 100ms.")
        }
        if let queryTimeout, queryTimeout.duration < .milliseconds(1) {
            throw ValidationError("--query-timeout must be at least 1ms.")
        }
        if let maxValueBytes, !(1_000...1 << 30).contains(maxValueBytes.bytes) {
            throw ValidationError("--max-value-bytes must be 1000 to 1G.")
        }
        if let maxQueryMemory, maxQueryMemory.bytes < 1 << 20 {
            throw ValidationError("--max-query-memory must be at least 1M.")
        }
        if let readers, !(1...64).contains(readers) { throw ValidationError("--readers must be 1 to 64.") }
    }
}
