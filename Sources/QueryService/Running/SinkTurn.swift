import Synchronization

/// Whose turn it is to speak to a query's sink, which hears one call at a time: its own thread's, except while that is within
/// SQLite, where it can be for seconds without asking anybody. Then somebody else may end the query for it.
final class SinkTurn: Sendable {
    private enum Turn: UInt8, AtomicRepresentable {
        case thread
        case nobody
        case other
    }

    private let turn = Atomic(Turn.thread)

    /// On the query's thread, which says nothing before ``takeBack()``.
    @inline(__always)
    func letGo() { turn.store(.nobody, ordering: .releasing) }

    /// On the query's thread; false when the query was ended for it, and nothing may be said any more.
    @inline(__always)
    func takeBack() -> Bool {
        turn.compareExchange(expected: .nobody, desired: .thread, ordering: .acquiring).original != .other
    }

    /// On another thread; false when the query's own may be speaking.
    func takeOver() -> Bool {
        turn.compareExchange(expected: .nobody, desired: .other, ordering: .acquiring).exchanged
    }
}
