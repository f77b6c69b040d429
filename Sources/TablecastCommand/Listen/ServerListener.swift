import NIOCore
import WebSocketTransport
import WireProtocol

/// Follows a server's channels for as long as the process lives, over as many connections as it takes.
struct ServerListener: Sendable {
    let connection: ServerConnection
    let output: ListenOutput
    var session: ListenSession
    private var backoff = Backoff()

    init(connection: ServerConnection, output: ListenOutput, session: ListenSession) {
        self.connection = connection
        self.output = output
        self.session = session
    }

    mutating func run() async throws {
        // The first failure is most likely a mistake in the address: better said than tried again for ever.
        var open = try await connection.open()
        while true {
            guard try await read(open) else { return }
            try check(await open.status)
            open = try await reconnect()
        }
    }

    /// Prints until the connection ends; returns false when the reader of the output is gone.
    private mutating func read(_ connection: WebSocketConnection) async throws -> Bool {
        for await text in connection.messages {
            guard let message = try? Envelope(parsing: text.utf8) else {
                output.warn("the server sent a message that this version does not understand")
                continue
            }
            for action in session.received(message) {
                switch action {
                case .send(let json):
                    // A connection that ended is noticed by the loop.
                    try? await connection.send(String(decoding: json, as: UTF8.self))
                case .print:
                    guard try output.print(message, text) else { return false }
                case .tell(let notice):
                    backoff.reset()
                    output.tell(notice)
                case .stop(let failure):
                    throw failure
                }
            }
        }
        return true
    }

    /// Throws when the server does not want this client back.
    private func check(_ status: CloseStatus) throws {
        guard let code = CloseCode(rawValue: status.code) else { return }
        guard code.reconnect == .no, code != .normal else { return }
        throw CommandFailure(
            code == .unauthorized || code == .forbidden ? .noPermission : .protocolError,
            "the server closed the connection with code \(status.code)\(status.reason.isEmpty ? "" : ": \(status.reason)")"
        )
    }

    private mutating func reconnect() async throws -> WebSocketConnection {
        while true {
            let wait = backoff.next(spread: .random(in: 0...1))
            output.warn("connection lost, trying again in \(Figures.seconds(wait))")
            try await Task.sleep(for: wait)
            do {
                return try await connection.open()
            } catch let failure as CommandFailure where failure.status == .unavailable {
                continue
            }
        }
    }
}
