import Broadcast
import NIOCore
import NIOPosix
import Synchronization
import WireProtocol

/// The connected clients by their client id, and their presence together with that of the clients of relays and of the source.
/// Thread-safe.
///
/// Presence messages are sent under the lock, so that all clients receive them in one order.
final class ClientDirectory: Sendable {
    private struct State {
        var clients: [String: ConnectedClient] = [:]
        var presence = Presence()
        var exchange = PresenceExchange()
        /// Sends a report to the source of this relay.
        var sendToSource: (@Sendable (PresenceReport) -> Void)?
        var isExchangeScheduled = false
        var nextExchange = NIODeadline.uptimeNanoseconds(0)
    }

    /// Between two reports to the same neighbour: cursors are sent as often.
    private static let exchangeInterval = TimeAmount.milliseconds(50)

    /// The receivers of clients' events in this process.
    let observers = Observers<ClientEvent>()
    private let hub: Hub
    private let state = Mutex(State())

    init(hub: Hub) { self.hub = hub }

    var all: [ConnectedClient] { state.withLock { Array($0.clients.values) } }

    subscript(name: String) -> ConnectedClient? { state.withLock { $0.clients[name] } }

    /// The present users, as this identity may see them.
    func userList(for identity: Identity) -> UserListPayload {
        state.withLock { state in identity.visible(state.presence.list) { state.clients[$0]?.identity } }
    }

    /// - Parameter isUser: false for a connection of a relay, whose users are reported by it.
    func join(_ client: ConnectedClient, isUser: Bool = true, on eventLoop: any EventLoop) {
        state.withLock { state in
            state.clients[client.name] = client
            observers.publish(.connected(ClientInfo(client)))
            guard isUser else { return }
            let actions = state.presence.join(
                .client(client.id),
                userID: client.name,
                username: client.username,
                timestamp: UnixTime.milliseconds
            )
            perform(actions, state, on: eventLoop)
            changed(client, &state)
        }
    }

    /// Sets the client's name.
    func identify(_ client: ConnectedClient, on eventLoop: any EventLoop) {
        state.withLock { state in
            guard state.clients[client.name] != nil else { return }
            state.clients[client.name] = client
            observers.publish(.renamed(ClientInfo(client)))
            let actions = state.presence.identify(.client(client.id), username: client.username)
            perform(actions, state, on: eventLoop)
            changed(client, &state)
        }
    }

    func moveCursor(_ client: ConnectedClient, to location: CursorLocation, on eventLoop: any EventLoop) {
        state.withLock { state in
            let actions = state.presence.moveCursor(.client(client.id), to: location, now: .now())
            perform(actions, state, on: eventLoop)
            changed(client, &state)
        }
    }

    func leave(_ client: ConnectedClient, code: UInt16, reason: String, on eventLoop: any EventLoop) {
        state.withLock { state in
            state.clients[client.name] = nil
            observers.publish(.disconnected(ClientInfo(client), code: code, reason: reason))
            let actions = state.presence.leave(.client(client.id))
            perform(actions, state, on: eventLoop)
            changed(client, &state)
        }
    }

    // MARK: Other processes

    /// Begins to exchange presence with a relay, a client of this server.
    func opened(_ relay: ClientID) {
        state.withLock { state in
            state.exchange.open(.relay(relay))
            exchange(&state)
        }
    }

    func closed(_ relay: ClientID) { close(.relay(relay)) }

    /// Begins to exchange presence with the source of this relay. A second call only replaces `send`.
    func openedSource(_ send: @escaping @Sendable (PresenceReport) -> Void) {
        state.withLock { state in
            state.sendToSource = send
            state.exchange.open(.source)
            exchange(&state)
        }
    }

    func closedSource() {
        state.withLock { $0.sendToSource = nil }
        close(.source)
    }

    private func close(_ link: PresenceLink) {
        state.withLock { state in follow(state.exchange.close(link), &state) }
    }

    func received(_ report: PresenceReport, from link: PresenceLink) {
        state.withLock { state in follow(state.exchange.received(report, from: link), &state) }
    }

    /// Users of other processes have changed.
    private func follow(_ changed: [String], _ state: inout State) {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        for id in changed {
            let actions = state.presence.update(id, to: state.exchange.remoteUser(id), now: .now())
            perform(actions, state, on: eventLoop)
        }
        exchange(&state)
    }

    /// A user of this process has changed.
    private func changed(_ client: ConnectedClient, _ state: inout State) {
        state.exchange.changed(client.name, to: state.presence[.client(client.id)])
        exchange(&state)
    }

    /// Sends the reports that are due, and the others later.
    private func exchange(_ state: inout State) {
        guard state.exchange.hasChanges, !state.isExchangeScheduled else { return }
        let now = NIODeadline.now()
        if now >= state.nextExchange {
            state.nextExchange = now + Self.exchangeInterval
            for link in state.exchange.links {
                guard let report = state.exchange.take(for: link) else { continue }
                switch link {
                case .relay(let client):
                    let header = EnvelopeHeader(RelayFormat.presence, channel: .collaboration)
                    hub.send(EncodedMessage(header, report), to: client)
                case .source: state.sendToSource?(report)
                }
            }
        }
        guard state.exchange.hasChanges else { return }
        state.isExchangeScheduled = true
        MultiThreadedEventLoopGroup.singleton.any().scheduleTask(deadline: state.nextExchange) { [weak self] in
            self?.state.withLock { state in
                state.isExchangeScheduled = false
                self?.exchange(&state)
            }
        }
    }

    private func perform(_ actions: [Presence.Action], _ state: State, on eventLoop: any EventLoop) {
        for action in actions {
            switch action {
            case .announce(let payload, let excluded):
                announce(payload, except: excluded, state)
            case .sendCursorsLater(let deadline):
                eventLoop.scheduleTask(deadline: deadline) { [weak self] in
                    self?.state.withLock { state in
                        let actions = state.presence.sendCursors(now: .now())
                        self?.perform(actions, state, on: eventLoop)
                    }
                }
            }
        }
    }

    private func announce(_ payload: ServerPayload, except excluded: ClientID?, _ state: State) {
        let header = EnvelopeHeader(payload.type, channel: .collaboration)
        let message = EncodedMessage(header, payload)
        guard case .userCursor(let cursor) = payload else {
            hub.send(message, to: .collaboration, except: excluded)
            return
        }
        var withoutText = cursor
        withoutText.location = cursor.location.withoutText
        let bare = withoutText == cursor ? message : EncodedMessage(header, withoutText)
        let author = state.clients[cursor.userID]?.identity
        hub.send(message, to: .collaboration, except: excluded) { restriction in
            restriction.visible(cursor.location, of: author).map { $0 == cursor.location ? message : bare }
        }
    }
}
