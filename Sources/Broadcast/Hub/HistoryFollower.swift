import Synchronization
package import WireProtocol

/// Reads the transactions of a hub from its history, at its own speed: what it has not released stays there, up to
/// ``HistoryLimits/maxPinnedBytes``. Thread-safe.
package final class HistoryFollower: Sendable {
    /// What comes after a position.
    package enum Step: Sendable {
        /// The next transactions; none at the end.
        case transactions([any Publication])
        /// Some of them are not kept any more, or the position is of another epoch.
        case unavailable
    }

    private let number: UInt64
    private let sequencer: SequencerLock
    private let archive: (any HistoryArchive)?
    private let followers: FollowerList

    init(number: UInt64, sequencer: SequencerLock, archive: (any HistoryArchive)?, followers: FollowerList) {
        self.number = number
        self.sequencer = sequencer
        self.archive = archive
        self.followers = followers
    }

    deinit { end() }

    /// Releases the history, and calls `wake` no more.
    package func end() {
        followers.remove(number)
        sequencer.withLock { $0.unpin([number]) }
    }

    /// Whether every transaction after the position can be read. Then they are kept until ``release(through:)``.
    package func begin(after position: Position) -> Bool {
        sequencer.withLock { sequencer in
            let position = sequencer.history.resolve(position)
            guard sequencer.history.isComplete(after: position) else { return false }
            sequencer.keep(number, after: position.sequence)
            return true
        }
    }

    /// The transactions up to this one need not be kept any more.
    package func release(through position: Position) {
        sequencer.withLock { sequencer in
            let position = sequencer.history.resolve(position)
            if position.epoch == sequencer.history.head.epoch { sequencer.keep(number, after: position.sequence) }
        }
    }

    /// Reads the transactions after `position`, up to `maxBytes`, at least one if there is one.
    ///
    /// - Parameter done: called once, at once or on the thread of the archive.
    package func read(after position: Position, maxBytes: Int, _ done: @escaping @Sendable (Step) -> Void) {
        let (slice, archived) = sequencer.withLock { sequencer in
            (
                sequencer.history.slice(after: position, maxBytes: maxBytes)?.publications,
                sequencer.history.archivedPart(after: position)
            )
        }
        if let slice { return done(.transactions(slice)) }
        guard let archived, let archive else { return done(.unavailable) }
        archive.load(after: position, through: archived, maxBytes: maxBytes) { publications in
            done(publications.map { .transactions($0) } ?? .unavailable)
        }
    }
}

/// Whom a hub wakes after each transaction. Thread-safe.
final class FollowerList: Sendable {
    private let wakes = Mutex<[(number: UInt64, wake: @Sendable () -> Void)]>([])

    func add(_ number: UInt64, _ wake: @escaping @Sendable () -> Void) {
        wakes.withLock { $0.append((number, wake)) }
    }

    func remove(_ number: UInt64) { wakes.withLock { $0.removeAll { $0.number == number } } }

    func wake() { for follower in wakes.withLock({ $0 }) { follower.wake() } }
}
