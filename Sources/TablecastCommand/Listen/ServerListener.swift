import TablecastClient
import WireProtocol

/// Prints the messages of a server's channels for the life of the process, over as many connections as needed.
struct ServerListener: Sendable {
    let connection: ServerConnection
    let output: ListenOutput
    let feed: Feed
    /// Receives the position after what was printed; nil when it is not kept.
    let file: PositionFile?

    func run() async throws {
        guard let file else { return try await printEvents() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await printEvents() }
            group.addTask {
                // Ends with an error of the file, or when the other task has ended.
                while !Task.isCancelled {
                    try file.save()
                    try? await Task.sleep(for: PositionFile.writeInterval)
                }
            }
            defer { group.cancelAll() }
            _ = try await group.next()
        }
        try file.save()
    }

    private func printEvents() async throws {
        var events = feed.makeAsyncIterator()
        var subscription = file?.place?.subscription
        while true {
            let event: FeedEvent?
            do throws(TablecastClientError) {
                event = try await events.next()
            } catch {
                throw connection.failure(error)
            }
            // Without an event the feed is over; false when the reader of the output has disconnected.
            guard let event, try output.print(event) else { return }
            guard let file, case .message(let message) = event, let position = message.position else { continue }
            if case .subscribed(let subscribed) = message.envelope.payload {
                subscription = subscribed.subscription
            }
            file.note(position, of: subscription)
        }
    }
}
