public import ServiceLifecycle

/// A service of a `ServiceGroup`, for example with Hummingbird's `Application.addServices(_:)`.
///
/// Source: [ServiceLifecycle](https://github.com/swift-server/swift-service-lifecycle).
extension TablecastService: Service {
    /// Serves until the service group shuts down gracefully or the task is cancelled, then ``shutDown()``.
    ///
    /// An HTTP server in which the service is mounted is stopped before it. The service then cancels its queries
    /// (`query:cancelled`, `shutdown`), closes each WebSocket with 1001 and ends each event stream as soon as that
    /// server begins to stop, so that the server can finish.
    public func run() async throws {
        await withTaskGroup { group in
            group.addTask { [self] in await reportLevels() }
            await untilShutdown()
            group.cancelAll()
        }
        await shutDown()
    }

    /// Updates gauges for a metrics backend of the application, which reads them without a callback.
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
    /// cancels the database's queries and closes each client with 1001. For a server with its own listener; a mounted
    /// one is run by its HTTP server.
    ///
    /// - Throws: the errors of ``start(on:)``.
    public func run() async throws {
        try await start()
        await untilShutdown()
        beginStopping()
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
        // Cancellation has the same effect.
    }
}
