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
    private let query = Mutex(Link.open)

    /// The query keeps its output, so that one that is over must not be kept by it in turn.
    private enum Link {
        case open
        case connected(RunningQuery)
        case finished
    }

    init(hub: Hub, client: ClientID) {
        self.hub = hub
        self.client = client
    }

    /// Connects the query, which is resumed when the client can take more.
    func connect(_ query: RunningQuery) {
        let isRunning = self.query.withLock { link in
            // Many a query is over before this.
            if case .finished = link { return false }
            link = .connected(query)
            return true
        }
        // It may have begun to wait before this.
        if isRunning { query.resume() }
    }

    func send(event json: [UInt8]) {
        hub.send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryProgress), to: client)
    }

    func send(rows json: UnsafeRawBufferPointer) {
        let count = json.count
        untakenBytes.add(count, ordering: .relaxed)
        hub.send(EncodedMessage(json: ByteBuffer(bytes: json), type: .queryRows), to: client) { [weak self] _ in
            guard let self else { return }
            let rest = untakenBytes.subtract(count, ordering: .relaxed).newValue
            if rest < Self.maxUntakenBytes, case .connected(let query) = query.withLock({ $0 }) { query.resume() }
        }
    }

    var isWritable: Bool { untakenBytes.load(ordering: .relaxed) < Self.maxUntakenBytes }

    func finish() { query.withLock { $0 = .finished } }
}
