import Synchronization

/// A promise of the position of one commit, kept by whoever tells others of commits; on any thread.
package final class CommitReceipt: Sendable {
    private enum State {
        case waiting([@Sendable (String?) -> Void])
        case known(String?)
    }

    private let state: Mutex<State>

    package init() { state = Mutex(.waiting([])) }

    package init(known position: String?) { state = Mutex(.known(position)) }

    /// Says at what position it was; nil when that will not be known. The first call counts.
    package func fulfil(_ position: String?) {
        let waiting = state.withLock { state -> [@Sendable (String?) -> Void] in
            guard case .waiting(let waiting) = state else { return [] }
            state = .known(position)
            return waiting
        }
        for body in waiting { body(position) }
    }

    /// Calls `body` once: at once where the position is known, else on the thread of ``fulfil(_:)``.
    package func whenKnown(_ body: @escaping @Sendable (String?) -> Void) {
        let known = state.withLock { state -> String?? in
            switch state {
            case .known(let position): return .some(position)
            case .waiting(let waiting):
                state = .waiting(waiting + [body])
                return nil
            }
        }
        if let known { body(known) }
    }
}
