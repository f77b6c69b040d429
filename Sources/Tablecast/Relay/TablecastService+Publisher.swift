import Broadcast
import Synchronization
package import WireProtocol

/// What a publisher of all transactions to another system needs besides the history of the hub.
extension TablecastService {
    /// Whether it is known that the epoch of an earlier process goes on, or that it does not. Until then the position is not final.
    package var hasBegun: Bool { feed.hasBegun }

    /// What a relay has to know besides the transactions.
    package var relayState: RelayStatePayload { relayState(epochs: server.hub.earlierEpochs) }

    /// Calls `body` with the type and the data of each notification about the database. It returns at once.
    package func onNotice(_ body: @escaping @Sendable (MessageType, JSONValue) -> Void) {
        feed.onNotice.withLock { $0 = body }
    }
}

extension DatabaseRequests {
    /// - Parameter epochs: those before the current one, each with its last sequence.
    func relayState(epochs: [String: UInt64]) -> RelayStatePayload {
        RelayStatePayload(tables: RelayCoding.encode(knownTables), earlierEpochs: epochs, goneBecause: goneBecause)
    }
}
