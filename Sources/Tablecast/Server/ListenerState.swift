import NIOCore
import Synchronization

/// Whether a server listens, and on what. Thread-safe.
final class ListenerState: Sendable {
    private enum State {
        case stopped
        case starting
        case listening(any Channel)
    }

    private let state = Mutex(State.stopped)

    var channel: (any Channel)? {
        state.withLock { if case .listening(let channel) = $0 { channel } else { nil } }
    }

    /// False when it has begun already.
    func begin() -> Bool {
        state.withLock { state in
            guard case .stopped = state else { return false }
            state = .starting
            return true
        }
    }

    func listening(_ channel: any Channel) { state.withLock { $0 = .listening(channel) } }
    func failed() { state.withLock { $0 = .stopped } }

    func stop() -> (any Channel)? {
        state.withLock { state in
            guard case .listening(let channel) = state else { return nil }
            state = .stopped
            return channel
        }
    }
}
