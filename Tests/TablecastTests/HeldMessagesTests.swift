import NIOCore
import NIOPosix
import Synchronization
import Testing
import WireProtocol

@testable import Broadcast
@testable import Tablecast

/// The messages of a short query over a WebSocket go out together, those of a longer one as they come.
@Suite(.timeLimit(.minutes(1))) struct HeldMessagesTests {
    /// Notes each write to the connection.
    private final class Writes: Sendable {
        let all = Mutex<[String]>([])
    }

    private final class Connection: OutboundConnection {
        let eventLoop: any EventLoop
        let frameEncoding = FrameEncoding(name: "bare") { $0.json }
        var queuedBytes: Int { 0 }
        private let writes: Writes

        init(_ eventLoop: any EventLoop, _ writes: Writes) {
            self.eventLoop = eventLoop
            self.writes = writes
        }

        func write(_ frames: ByteBuffer) -> Int {
            writes.all.withLock { $0.append(String(buffer: frames)) }
            return 0
        }

        func close(_ code: CloseCode, reason: String) {}
    }

    private let hub = Hub(start: Position(epoch: "e", sequence: 0))
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
    private let writes = Writes()

    private func connect() async throws -> ClientID {
        try await eventLoop.submit { [hub, eventLoop, writes] in hub.connect(Connection(eventLoop, writes)) }.get()
    }

    private func output(of client: ClientID) -> ClientQueryOutput {
        ClientQueryOutput(hub: hub, client: client, rowBackpressure: RowBackpressure())
    }

    /// What was written since the last call, once the event loop has done what it had to do.
    private func written() async throws -> [String] {
        // A drain is scheduled before this.
        try await eventLoop.submit {}.get()
        return writes.all.withLock { all in
            defer { all = [] }
            return all
        }
    }

    private func sendRows(_ output: ClientQueryOutput) {
        Array("rows ".utf8).withUnsafeBytes { output.send(rows: $0) }
    }

    @Test func `a short query is one write`() async throws {
        let output = output(of: try await connect())
        output.hold(readOnly: true)
        output.send(event: Array("started ".utf8))
        sendRows(output)
        output.send(event: Array("complete".utf8))
        #expect(try await written() == [])
        output.finish()
        #expect(try await written() == ["started rows complete"])
    }

    @Test func `what is held back is sent on request, and nothing is held back afterwards`() async throws {
        let output = output(of: try await connect())
        output.hold(readOnly: true)
        output.send(event: Array("started".utf8))
        output.sendHeld()
        #expect(try await written() == ["started"])
        sendRows(output)
        #expect(try await written() == ["rows "])
        // The next statement of a script.
        output.hold(readOnly: true)
        sendRows(output)
        #expect(try await written() == ["rows "])
        output.finish()
        output.sendHeld()
        #expect(try await written() == [])
    }

    @Test func `a client that may receive the changes of its write learns first that it began`() async throws {
        let client = try await connect()
        let early = output(of: client)
        early.hold(readOnly: false)
        early.send(event: Array("started".utf8))
        #expect(try await written() == [])
        early.finish()
        #expect(try await written() == ["started"])
        try hub.subscribe(client, to: [TableSubscription(TableFilter())])
        _ = try await written()
        let output = output(of: client)
        output.hold(readOnly: false)
        output.send(event: Array("started".utf8))
        #expect(try await written() == ["started"])
    }
}
