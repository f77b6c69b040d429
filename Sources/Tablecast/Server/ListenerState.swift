import Synchronization
import WebSocketTransport

/// Whether a server listens, and on what. Thread-safe.
final class ListenerState: Sendable {
    private enum State {
        case stopped
        case starting
        case listening(SocketListener)
    }

    private let state = Mutex(State.stopped)

    var socket: SocketListener? {
        state.withLock { if case .listening(let socket) = $0 { socket } else { nil } }
    }

    /// False when it has begun already.
    func begin() -> Bool {
        state.withLock { state in
            guard case .stopped = state else { return false }
            state = .starting
            return true
        }
    }

    func listening(_ socket: SocketListener) { state.withLock { $0 = .listening(socket) } }
    func failed() { state.withLock { $0 = .stopped } }

    func stop() -> SocketListener? {
        state.withLock { state in
            guard case .listening(let socket) = state else { return nil }
            state = .stopped
            return socket
        }
    }
}
