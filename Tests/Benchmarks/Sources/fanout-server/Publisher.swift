import NIOCore
import Tablecast
import WireProtocol

/// Broadcasts numbered and timestamped messages once all clients are connected. Confined to its event loop.
final class Publisher {
    private let server: WebSocketServer
    private let options: Options
    private let eventLoop: any EventLoop
    private let padding: JSONValue
    private var sent = 0
    private var start = NIODeadline.uptimeNanoseconds(0)
    /// Every client has received two messages before the first: `connection:ack`, and the reply to its frame.
    private var total: Int { options.messages - 2 }

    init(_ server: WebSocketServer, _ options: Options, on eventLoop: any EventLoop) {
        self.server = server
        self.options = options
        self.eventLoop = eventLoop
        // The envelope and the other fields take about 141 bytes.
        padding = .string(String(repeating: "x", count: max(0, options.size - 141)))
    }

    /// Waits for the clients, and briefly for their first messages.
    func waitForClients() {
        if server.clientCount >= options.conns {
            after(.milliseconds(700)) { self.begin() }
        } else {
            after(.milliseconds(10)) { self.waitForClients() }
        }
    }

    private func begin() {
        start = .now()
        publish()
    }

    private func publish() {
        let due = options.rate > 0 ? Int(elapsedSeconds * options.rate) + 1 : sent + options.burst
        while sent < min(due, total) {
            broadcast()
        }
        guard sent < total else { return }
        if options.rate > 0 {
            let next = start + .nanoseconds(Int64(Double(sent) / options.rate * 1e9))
            eventLoop.assumeIsolated().scheduleTask(deadline: next) { self.publish() }
        } else {
            // In the next turn: messages published in this one are sent first.
            eventLoop.assumeIsolated().execute { self.publish() }
        }
    }

    private var elapsedSeconds: Double {
        Double((NIODeadline.now() - start).nanoseconds) / 1e9
    }

    private func broadcast() {
        let now = Int64(NIODeadline.now().uptimeNanoseconds)
        let data: JSONValue = .object(["n": .integer(Int64(sent)), "t": .integer(now), "title": padding])
        server.broadcast(.custom(MessageType("benchmark:update"), data), to: .notifications)
        sent += 1
    }

    private func after(_ time: TimeAmount, _ body: @escaping () -> Void) {
        eventLoop.assumeIsolated().scheduleTask(in: time, body)
    }
}
