import NIOCore
import UnixSignals
import WebSocketTransport
import WireProtocol

/// Carries out what a ``LiveQuerySession`` decides, over one connection, until Ctrl-C.
struct LiveQueryRun: Sendable {
    /// Home, and everything from there on erased: the rows are drawn over those before.
    private static let redraw = "\u{1B}[H\u{1B}[2J"

    let connection: WebSocketConnection

    func run(_ session: LiveQuerySession) async throws -> QuerySession.Outcome {
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: QuerySession.Outcome?.self) { group in
            group.addTask { try await converse(session) }
            group.addTask {
                for await _ in interrupts { return .complete(summary: "") }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            return .complete(summary: "")
        }
    }

    private func converse(_ session: LiveQuerySession) async throws -> QuerySession.Outcome {
        var session = session
        var isFirst = true
        for await text in connection.messages {
            let message: Envelope
            do {
                message = try Envelope(parsing: text.utf8)
            } catch {
                throw CommandFailure(.protocolError, "the server sent what this version does not understand: \(error)")
            }
            for action in session.received(message) {
                switch action {
                case .send(let json):
                    try await connection.send(String(decoding: json, as: UTF8.self))
                case .show(let rows):
                    let separator = Terminal.output.isInteractive ? Self.redraw : isFirst ? "" : "\n"
                    isFirst = false
                    guard try Terminal.output.write(separator + rows) else { return .complete(summary: "") }
                case .printMessage:
                    guard try Terminal.output.writeLine(text) else { return .complete(summary: "") }
                case .finish(let outcome):
                    return outcome
                }
            }
        }
        let closed = await connection.status
        throw CommandFailure(
            .unavailable,
            "the connection was lost (code \(closed.code)\(closed.reason.isEmpty ? "" : ", \(closed.reason)"))"
        )
    }
}
