import Synchronization
import WireProtocol

/// Carries out what a ``QuerySession`` decides, over one connection.
///
/// Two tasks share it: one reads the server's messages, the other waits for Ctrl-C. Decisions are made under the lock,
/// their effects happen outside of it: a reader of stdout that is slow, such as a pager, does not hold up a cancel.
final class QueryRun<Connection: QueryConnection>: Sendable {
    private let session: Mutex<QuerySession>
    private let connection: Connection
    private let status = StatusLine()

    init(_ session: QuerySession, _ connection: Connection) {
        self.session = Mutex(session)
        self.connection = connection
    }

    /// Reads until the query is over.
    func converse() async throws -> QuerySession.Outcome {
        defer { status.clear() }
        for await text in connection.messages {
            let message: Envelope
            do {
                message = try Envelope(parsing: text.utf8)
            } catch {
                throw CommandFailure(.protocolError, "the server sent what this version does not understand: \(error)")
            }
            if let outcome = try await perform(session.withLock { $0.received(message) }) { return outcome }
        }
        throw CommandFailure(
            .unavailable,
            "the connection was lost before the query ended (\(await connection.end))",
            advice: "The server rolls back what a lost client had not committed."
        )
    }

    /// Ctrl-C: asks the server to cancel, and at the second time gives up.
    func interrupt() async throws -> QuerySession.Outcome? {
        try await perform(session.withLock { $0.interrupt() })
    }

    private func perform(_ actions: [QuerySession.Action]) async throws -> QuerySession.Outcome? {
        for action in actions {
            switch action {
            case .send(let json):
                try await connection.send(String(decoding: json, as: UTF8.self))
            case .print(let text):
                status.clear()
                guard try Terminal.output.write(text) else {
                    // The reader is gone, as after `| head`.
                    return .complete(summary: "")
                }
            case .progress(let bar):
                status.show { bar.line(width: $0, palette: $1) }
            case .finish(let outcome):
                return outcome
            }
        }
        return nil
    }
}
