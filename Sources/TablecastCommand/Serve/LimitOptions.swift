import ArgumentParser

/// The bounds of the service that an operator may want to move.
struct LimitOptions: ParsableArguments {
    @Option(help: "Clients at a time; more are refused with 503.")
    var maxConnections = 100

    @Option(help: "How often clients are pinged.")
    var heartbeatInterval = DurationArgument(.seconds(30))

    @Option(help: "The largest message taken from a client.")
    var maxMessageBytes: ByteCountArgument?

    @Option(help: "What may wait for a client that does not read; past it the client is closed with 4413.")
    var maxQueuedBytes: ByteCountArgument?

    @Option(help: "How long a query may run that does not say how long.")
    var queryTimeout: DurationArgument?

    @Option(help: "Connections that read at the same time.")
    var readers: Int?

    func validate() throws {
        guard maxConnections > 0 else { throw ValidationError("--max-connections must be at least 1.") }
        guard heartbeatInterval.duration >= .milliseconds(100) else {
            throw ValidationError("--heartbeat-interval must be at least 100ms.")
        }
        if let queryTimeout, queryTimeout.duration < .milliseconds(1) {
            throw ValidationError("--query-timeout must be at least 1ms.")
        }
        if let readers, !(1...64).contains(readers) { throw ValidationError("--readers must be 1 to 64.") }
    }
}
