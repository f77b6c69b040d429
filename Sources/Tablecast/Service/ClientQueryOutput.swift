import Broadcast
import NIOCore
import Synchronization
import WireProtocol

/// Sends a query's messages to the WebSocket client that asked for it, through the hub, so that they keep their order with
/// everything else it hears. Thread-safe.
final class ClientQueryOutput: QueryOutput {
    /// Bytes of rows that were sent and that the client has not been able to take: beyond it the query waits.
    static let maxUntakenBytes = 512 << 10

    private let hub: Hub
    private let client: ClientID
    private let untakenBytes = Atomic<Int>(0)
    private let query = Mutex<RunningQuery?>(nil)

    init(hub: Hub, client: ClientID) {
        self.hub = hub
        self.client = client
    }

    /// Connects the query, which is resumed when the client can take more.
    func connect(_ query: RunningQuery) {
        self.query.withLock { $0 = query }
        // It may have begun to wait before this.
        query.resume()
    }

    func send(event json: [UInt8]) {
        hub.send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryProgress), to: client)
    }

    func send(rows json: [UInt8]) {
        let count = json.count
        untakenBytes.add(count, ordering: .relaxed)
        hub.send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryRows), to: client) { [weak self] _ in
            guard let self else { return }
            let rest = untakenBytes.subtract(count, ordering: .relaxed).newValue
            if rest < Self.maxUntakenBytes { query.withLock { $0 }?.resume() }
        }
    }

    var isWritable: Bool { untakenBytes.load(ordering: .relaxed) < Self.maxUntakenBytes }

    func finish() { query.withLock { $0 = nil } }
}
