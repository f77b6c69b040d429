import Broadcast
import NIOCore
import Synchronization
import WireProtocol

/// Who is connected: clients by their name on the wire, and their presence. Thread-safe.
///
/// What presence decides is sent under the lock, so that everybody hears who came and went in one order.
final class ClientDirectory: Sendable {
    private struct State {
        var clients: [String: ConnectedClient] = [:]
        var presence = Presence()
    }

    private let hub: Hub
    private let state = Mutex(State())

    init(hub: Hub) { self.hub = hub }

    subscript(name: String) -> ConnectedClient? { state.withLock { $0.clients[name] } }

    var userList: UserListPayload { state.withLock { $0.presence.list } }

    func join(_ client: ConnectedClient, on eventLoop: any EventLoop) {
        state.withLock { state in
            state.clients[client.name] = client
            perform(
                state.presence.join(
                    client.id,
                    userID: client.name,
                    username: client.username,
                    timestamp: UnixTime.milliseconds
                ),
                on: eventLoop
            )
        }
    }

    /// The client says its name from now on.
    func identify(_ client: ConnectedClient, on eventLoop: any EventLoop) {
        state.withLock { state in
            guard state.clients[client.name] != nil else { return }
            state.clients[client.name] = client
            perform(state.presence.identify(client.id, username: client.username), on: eventLoop)
        }
    }

    func moveCursor(_ client: ConnectedClient, to location: CursorLocation, on eventLoop: any EventLoop) {
        state.withLock { state in
            perform(state.presence.moveCursor(client.id, to: location, now: .now()), on: eventLoop)
        }
    }

    func leave(_ client: ConnectedClient, on eventLoop: any EventLoop) {
        state.withLock { state in
            state.clients[client.name] = nil
            perform(state.presence.leave(client.id), on: eventLoop)
        }
    }

    private func perform(_ actions: [Presence.Action], on eventLoop: any EventLoop) {
        for action in actions {
            switch action {
            case .announce(let payload, let excluded):
                let header = EnvelopeHeader(payload.type, channel: .collaboration)
                hub.send(EncodedMessage(header, payload), to: .collaboration, except: excluded)
            case .sendCursorsLater(let deadline):
                eventLoop.scheduleTask(deadline: deadline) { [weak self] in
                    self?.state.withLock { state in
                        self?.perform(state.presence.sendCursors(now: .now()), on: eventLoop)
                    }
                }
            }
        }
    }
}
