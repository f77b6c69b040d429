package import NIOCore

/// Detects connections whose peer has silently disappeared: RFC 6455 section 5.5.2.
///
/// Any byte from the peer proves that it is alive, so a peer that is busy with a long upload is not disconnected.
package struct Heartbeat: Sendable, Hashable {
    package enum Action: Sendable, Hashable {
        case ping
        /// Nothing was received since the ping before the last one: close with 4408.
        case timeOut
    }

    private let interval: TimeAmount
    private var nextPing: NIODeadline
    private var unanswered = 0

    package init(interval: TimeAmount, now: NIODeadline) {
        self.interval = interval
        nextPing = now + interval
    }

    /// A byte was received from the peer.
    package mutating func noteActivity() {
        unanswered = 0
    }

    /// The action at `now`, if any. May be called at any rate.
    package mutating func tick(now: NIODeadline) -> Action? {
        guard now >= nextPing else { return nil }
        if unanswered == 2 { return .timeOut }
        unanswered += 1
        nextPing = now + interval
        return .ping
    }
}

/// One timer for all connections of an event loop, instead of one or more for each.
///
/// The limits it serves are in seconds; checking every connection once a second costs less than ten thousand entries in
/// the loop's list of timers, and no memory. Confined to its event loop.
final class Ticker {
    protocol Member: AnyObject {
        /// The member's index in the ticker's list; maintained by the ticker.
        var tickerIndex: Int { get set }
        func tick(now: NIODeadline)
    }

    private let eventLoop: any EventLoop
    private let period: TimeAmount
    private var members: [any Member] = []
    private var isScheduled = false

    init(eventLoop: any EventLoop, period: TimeAmount) {
        self.eventLoop = eventLoop
        self.period = period
    }

    func add(_ member: any Member) {
        member.tickerIndex = members.count
        members.append(member)
        if !isScheduled { schedule() }
    }

    /// Does nothing for an object that is not a member.
    func remove(_ member: any Member) {
        let index = member.tickerIndex
        guard members.indices.contains(index), members[index] === member else { return }
        member.tickerIndex = -1
        let last = members.removeLast()
        if last !== member {
            members[index] = last
            last.tickerIndex = index
        }
    }

    private func schedule() {
        isScheduled = true
        eventLoop.assumeIsolated().scheduleTask(in: period) { self.tick() }
    }

    private func tick() {
        let now = eventLoop.now
        // Backwards: a removed member is replaced by the last one, which was already handled.
        var index = members.count - 1
        while index >= 0 {
            if index < members.count { members[index].tick(now: now) }
            index -= 1
        }
        isScheduled = false
        if !members.isEmpty { schedule() }
    }
}
