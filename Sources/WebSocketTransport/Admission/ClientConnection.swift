import NIOHTTP1
import Synchronization

/// One connection as HTTP requests see it: its client's address, and whether it is still open. Thread-safe.
package final class ClientConnection: Sendable {
    /// The connection of the request being answered, in the task that answers it.
    @TaskLocal package static var current: ClientConnection?

    private struct State {
        var address: ClientAddress?
        var isKnown = false
        var isRequestComplete = false
        var isClient = false
        var isEnded = false
        var onEnd: (@Sendable () -> Void)?
    }

    private let id: ConnectionTable.ID
    private let admission: ConnectionAdmission
    private let peer: ClientAddress?
    private let state: Mutex<State>

    init(id: ConnectionTable.ID, admission: ConnectionAdmission, peer: ClientAddress?) {
        self.id = id
        self.admission = admission
        self.peer = peer
        state = Mutex(State(address: peer))
    }

    /// The client's address: for the current request, as a trusted proxy reports it. Nil for a socket without an IP
    /// address.
    package var address: ClientAddress? { state.withLock { $0.address } }

    // MARK: Requests

    /// The head of a request has arrived.
    func began(_ headers: HTTPHeaders) {
        guard let peer, !admission.trustedProxies.isEmpty else { return }
        let address = ForwardedClient.address(headers, peer: peer, trusted: admission.trustedProxies)
        state.withLock { $0.address = address }
        if address != peer { admission.move(id, to: address) }
    }

    /// The whole request has arrived.
    func completed() { update { $0.isRequestComplete = true } }

    /// The sender of the current request has been identified.
    package func becameKnown() { update { $0.isKnown = true } }

    /// Every request has been answered.
    func answered() {
        let isKnown = state.withLock { state in
            state.isRequestComplete = false
            state.isClient = false
            return state.isKnown
        }
        if isKnown { admission.enter(.idle, id) }
    }

    /// The connection has become a WebSocket or an event stream.
    package func becameClient() {
        state.withLock { $0.isClient = true }
        admission.enter(.client, id)
    }

    private func update(_ change: (inout State) -> Void) {
        let isWorking = state.withLock { state in
            change(&state)
            return state.isKnown && state.isRequestComplete && !state.isClient
        }
        if isWorking { admission.enter(.working, id) }
    }

    // MARK: The end

    /// Runs `operation`; calls `handler`, once, if the client disconnects meanwhile, at once if it already has.
    package func notifying<Result>(
        onEnd handler: @escaping @Sendable () -> Void,
        _ operation: () async throws -> Result
    ) async rethrows -> Result {
        let isEnded = state.withLock { state in
            if !state.isEnded { state.onEnd = handler }
            return state.isEnded
        }
        if isEnded { handler() }
        defer { state.withLock { $0.onEnd = nil } }
        return try await operation()
    }

    /// The client has closed its side of the connection, or the connection has broken.
    func ended() {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            state.isEnded = true
            defer { state.onEnd = nil }
            return state.onEnd
        }
        handler?()
    }
}
