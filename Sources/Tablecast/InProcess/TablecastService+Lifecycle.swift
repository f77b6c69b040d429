public import ServiceLifecycle

/// A service of a `ServiceGroup`, as Hummingbird's `Application.addServices(_:)` takes it.
///
/// Source: [ServiceLifecycle](https://github.com/swift-server/swift-service-lifecycle).
extension TablecastService: Service {
    /// Serves until the service group shuts down gracefully or the task is cancelled, then ``shutDown()``.
    ///
    /// An HTTP server that the service is mounted in is stopped ahead of it. The service then cancels its queries
    /// (`query:cancelled`, `shutdown`), closes each WebSocket with 1001 and ends each event stream as soon as that server
    /// begins to stop, so that it can finish.
    public func run() async throws {
        await withTaskGroup { group in
            group.addTask { [self] in await reportLevels() }
            await untilShutdown()
            group.cancelAll()
        }
        await shutDown()
    }

    /// For a metrics backend of the application, which does not ask before it reads.
    private func reportLevels() async {
        while !Task.isCancelled {
            updateLevels()
            // Cancellation ends the sleep, and the loop with it.
            try? await Task.sleep(for: .seconds(10))
        }
    }
}

extension WebSocketServer: Service {
    /// Listens on the configured address until the service group shuts down gracefully or the task is cancelled, then
    /// cancels the database's queries and closes each client with 1001. For a server of its own; one that is mounted in
    /// another HTTP server is that server's to run.
    ///
    /// - Throws: what ``start(on:)`` throws.
    public func run() async throws {
        try await start()
        await untilShutdown()
        await Task { [self] in
            await databaseRequests?.endQueries()
            await stop()
        }.value
    }
}

/// Returns when the service group begins its graceful shutdown or the task is cancelled.
private func untilShutdown() async {
    do {
        try await gracefulShutdown()
    } catch {
        // Cancellation asks for the same.
    }
}
