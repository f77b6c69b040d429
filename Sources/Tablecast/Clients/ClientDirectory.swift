import Broadcast
import NIOCore
import Synchronization
import WireProtocol

/// The connected clients by their client id, and their presence. Thread-safe.
///
/// Presence messages are sent under the lock, so that all clients receive them in one order.
final class ClientDirectory: Sendable {
    private struct State {
        var clients: [String: ConnectedClient] = [:]
        var presence = Presence()
    }

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

    func join(_ client: ConnectedClient, on eventLoop: any EventLoop) {
        state.withLock { state in
            state.clients[client.name] = client
            observers.publish(.connected(ClientInfo(client)))
            let actions = state.presence.join(
                client.id,
                userID: client.name,
                username: client.username,
                timestamp: UnixTime.milliseconds
            )
            perform(actions, state, on: eventLoop)
        }
    }

    /// Sets the client's name.
    func identify(_ client: ConnectedClient, on eventLoop: any EventLoop) {
        state.withLock { state in
            guard state.clients[client.name] != nil else { return }
            state.clients[client.name] = client
            observers.publish(.renamed(ClientInfo(client)))
            let actions = state.presence.identify(client.id, username: client.username)
            perform(actions, state, on: eventLoop)
        }
    }

    func moveCursor(_ client: ConnectedClient, to location: CursorLocation, on eventLoop: any EventLoop) {
        state.withLock { state in
            let actions = state.presence.moveCursor(client.id, to: location, now: .now())
            perform(actions, state, on: eventLoop)
        }
    }

    func leave(_ client: ConnectedClient, code: UInt16, reason: String, on eventLoop: any EventLoop) {
        state.withLock { state in
            state.clients[client.name] = nil
            observers.publish(.disconnected(ClientInfo(client), code: code, reason: reason))
            let actions = state.presence.leave(client.id)
            perform(actions, state, on: eventLoop)
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
