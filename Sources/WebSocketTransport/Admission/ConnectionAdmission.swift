import NIOCore
import Synchronization

/// The open connections of a server; chooses the one to close when there are too many. Thread-safe.
package final class ConnectionAdmission: Sendable {
    private struct State {
        var table: ConnectionTable
        var channels: [ConnectionTable.ID: any Channel] = [:]
        var lastID: ConnectionTable.ID = 0
    }

    private let state: Mutex<State>
    let trustedProxies: [AddressRange]

    /// - Parameters:
    ///   - maxPending: Connections that are neither WebSockets nor event streams.
    ///   - maxUnknownPerAddress: Connections of one address whose sender has not been identified yet.
    ///   - trustedProxies: The proxies whose headers are used for a request's address.
    package init(maxPending: Int, maxUnknownPerAddress: Int, trustedProxies: [AddressRange] = []) {
        let limits = ConnectionTable.Limits(
            maxPending: max(maxPending, 1),
            maxUnknownPerAddress: max(maxUnknownPerAddress, 1)
        )
        state = Mutex(State(table: ConnectionTable(limits: limits)))
        self.trustedProxies = trustedProxies
    }

    /// Admits a new connection; nil when there is no place, and it has to be closed. Call it on its event loop.
    func admit(_ channel: any Channel) -> ClientConnection? {
        let peer = channel.remoteAddress.flatMap { ClientAddress($0) }
        let isProxy = peer.map { peer in trustedProxies.contains { $0.contains(peer) } } ?? false
        let (id, victim) = state.withLock { state -> (ConnectionTable.ID?, (any Channel)?) in
            state.lastID += 1
            let id = state.lastID
            switch state.table.admit(id, from: isProxy ? nil : peer?.network) {
            case .refused: return (nil, nil)
            case .admitted:
                state.channels[id] = channel
                return (id, nil)
            case .evicting(let victim):
                state.channels[id] = channel
                return (id, state.channels.removeValue(forKey: victim))
            }
        }
        if let victim { Self.close(victim) }
        guard let id else { return nil }
        channel.closeFuture.whenComplete { [weak self] _ in self?.remove(id) }
        return ClientConnection(id: id, admission: self, peer: peer)
    }

    func enter(_ phase: ConnectionTable.Phase, _ id: ConnectionTable.ID) {
        state.withLock { $0.table.enter(phase, id) }
    }

    func move(_ id: ConnectionTable.ID, to address: ClientAddress?) {
        let victim = state.withLock { state in
            state.table.move(id, to: address?.network).flatMap { state.channels.removeValue(forKey: $0) }
        }
        if let victim { Self.close(victim) }
    }

    private func remove(_ id: ConnectionTable.ID) {
        state.withLock { state in
            state.table.remove(id)
            state.channels[id] = nil
        }
    }

    /// Below the pipeline, because TLS would wait for the answer of a peer that may never send one.
    private static func close(_ channel: any Channel) {
        channel.eventLoop.execute {
            channel._channelCore.close0(error: ChannelError.ioOnClosedChannel, mode: .all, promise: nil)
        }
    }
}
