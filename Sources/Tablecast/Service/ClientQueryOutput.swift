import Broadcast
import NIOCore
import Synchronization
import WireProtocol

/// Sends a query's messages to the WebSocket client that asked for it, through the hub, so that they keep their order with
/// everything else it hears. Thread-safe.
final class ClientQueryOutput: QueryOutput {
    private let hub: Hub
    private let client: ClientID
    private let untakenRows: UntakenRows
    private let query = Mutex(Link.open)

    /// The query keeps its output, so that one that is over must not be kept by it in turn.
    private enum Link {
        case open
        case connected(RunningQuery)
        case finished
    }

    /// - Parameter untakenRows: those of the client, over all its queries.
    init(hub: Hub, client: ClientID, untakenRows: UntakenRows) {
        self.hub = hub
        self.client = client
        self.untakenRows = untakenRows
        untakenRows.add(self)
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
        untakenRows.sent(byteCount: count)
        let message = EncodedMessage(json: ByteBuffer(bytes: json), type: .queryRows)
        hub.send(message, to: client) { [untakenRows] _ in untakenRows.taken(byteCount: count) }
    }

    var isWritable: Bool { untakenRows.isBelowLimit }

    /// The client takes rows again.
    func resume() {
        if case .connected(let query) = query.withLock({ $0 }) { query.resume() }
    }

    func finish() {
        query.withLock { $0 = .finished }
        untakenRows.remove(self)
    }
}
