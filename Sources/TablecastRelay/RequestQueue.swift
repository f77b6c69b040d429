import TablecastClient
package import WireProtocol

/// Requests on their way to a source, in order. Thread-safe.
package final class RequestQueue: Sendable {
    private let requests: AsyncStream<ClientMessage>
    private let continuation: AsyncStream<ClientMessage>.Continuation

    /// - Parameter maxWaiting: requests that may wait for the connection.
    package init(maxWaiting: Int) {
        (requests, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(maxWaiting))
    }

    /// False when too many wait, or the queue has ended.
    func append(_ request: ClientMessage) -> Bool {
        if case .enqueued = continuation.yield(request) { true } else { false }
    }

    /// Closes the connection after the requests that wait.
    package func finish() { continuation.finish() }

    /// The requests, to be iterated once, instead of ``send(over:)``.
    package var waiting: AsyncStream<ClientMessage> { requests }

    /// Sends the requests until the queue or the connection ends. Call it once.
    func send(over connection: ClientConnection) async {
        for await request in requests {
            // The end of the connection is reported by its messages.
            guard (try? await connection.send(request)) != nil else { return }
        }
        await connection.close()
    }
}
