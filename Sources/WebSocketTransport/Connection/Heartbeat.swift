package import NIOCore

/// Finds connections whose other end is gone without a word: RFC 6455 section 5.5.2.
///
/// Any byte from the peer proves that it is there, so that one which is busy with a long upload is not cut off.
package struct Heartbeat: Sendable, Hashable {
    package enum Action: Sendable, Hashable {
        case ping
        /// Nothing was heard since the ping before the last one: close with 4408.
        case timeOut
    }

    private let interval: TimeAmount
    private var nextPing: NIODeadline
    private var unanswered = 0

    package init(interval: TimeAmount, now: NIODeadline) {
        self.interval = interval
        nextPing = now + interval
    }

    /// Something came from the peer.
    package mutating func heard() {
        unanswered = 0
    }

    /// What to do at `now`, if anything. May be called as often, or as seldom, as is convenient.
    package mutating func tick(now: NIODeadline) -> Action? {
        guard now >= nextPing else { return nil }
        if unanswered == 2 { return .timeOut }
        unanswered += 1
        nextPing = now + interval
        return .ping
    }
}
