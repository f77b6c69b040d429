import WireProtocol

/// The subscriptions of one connection to `tables`, and how far each has come. A value without I/O: decides what a
/// transaction comes to, and says which pins of the history are not needed any more.
///
/// All subscriptions go through the transactions together, so that the messages of one transaction are contiguous. While
/// one of them is behind, because it resumes or follows its snapshot, the connection gets its transactions out of the
/// history, in order: those that only some of the subscriptions have yet to get, and then everything.
struct TablesFeed {
    enum State: Equatable {
        /// Gets the transactions after this one. Looked at only while the feed catches up: once it is live, everything that
        /// comes is after it.
        case active(after: UInt64)
        /// Its snapshot is being sent.
        case held(History.Retention)
    }

    struct Entry {
        let subscription: TableSubscription
        var state: State
    }

    /// The way through the history to what is live.
    struct CatchUp: Equatable {
        enum Progress: Equatable {
            case running
            /// A snapshot saw transactions that are not published yet.
            case waiting
            /// The change to live is on its way.
            case complete
        }

        /// Keeps what comes next in the history.
        var pin: History.Retention
        /// Everything up to here was sent to those that get it.
        var after: Position
        var progress = Progress.running
    }

    /// In the order of ids, so that connections with equal subscriptions get equal bytes.
    private(set) var entries: [Entry] = []
    /// Nil while the feed is live.
    private(set) var catchUp: CatchUp?
    /// Where the furthest of several subscriptions is that wait for others to come up with them: `transaction:end` says so
    /// when they have.
    private var meetingPoint: UInt64?

    var isEmpty: Bool { entries.isEmpty }
    /// Each transaction ends with `transaction:end`.
    var hasSeveral: Bool { entries.count > 1 }

    /// Those that get what is published now.
    var live: [TableSubscription] { catchUp == nil ? active : [] }

    /// Whether some subscription does not get what is published now.
    var isBehind: Bool {
        catchUp != nil || entries.contains { if case .held = $0.state { true } else { false } }
    }

    private var active: [TableSubscription] {
        entries.compactMap { if case .active = $0.state { $0.subscription } else { nil } }
    }

    /// What the history keeps for this feed.
    var pins: [History.Retention] {
        entries.compactMap { if case .held(let pin) = $0.state { pin } else { nil } } + (catchUp.map { [$0.pin] } ?? [])
    }

    func isHeld(_ pin: History.Retention) -> Bool { entries.contains { $0.state == .held(pin) } }

    // MARK: Changes. Each returns the pins that are not needed any more.

    /// Adds subscriptions, equal ones begin again, and ends the one that they replace.
    ///
    /// - Returns: the position after which they begin; nil for a snapshot, which has not been read yet.
    mutating func subscribe(_ change: SubscriptionChange) -> (position: Position?, released: [History.Retention]) {
        var released: [History.Retention] = []
        let begin = position(of: change)
        if change.start.hold == nil { released += remove { $0.subscription.id == change.replaced } }
        for subscription in change.subscriptions { released += remove { $0.subscription == subscription } }
        switch change.start {
        case .held(let pin):
            insert(change.subscriptions, .held(pin))
            return (nil, released + settle())
        case .live:
            insert(change.subscriptions, .active(after: begin.sequence))
            if let catchUp, begin.sequence < catchUp.after.sequence { goBack(to: begin) }
        case .replay(let pin, let since):
            released += join(pin, since, head: change.head)
            insert(change.subscriptions, .active(after: since.sequence))
        }
        return (begin, released + settle())
    }

    /// After which transaction new subscriptions begin, if they do not wait for a snapshot.
    private func position(of change: SubscriptionChange) -> Position {
        if case .replay(_, let since) = change.start { return since }
        guard let catchUp else { return change.head }
        if change.start == .live(recovered: nil),
            case .active(let after)? = entries.first(where: { $0.subscription.id == change.replaced })?.state
        {
            // What the old one had not come to yet, the new one gets.
            return Position(epoch: catchUp.after.epoch, sequence: max(after, catchUp.after.sequence))
        }
        // What was published after the request may have been sent to the others already.
        let isAhead = catchUp.progress == .complete && change.head.isBefore(catchUp.after) == true
        return isAhead ? catchUp.after : change.head
    }

    mutating func unsubscribe(_ id: String) -> [History.Retention] {
        let released = remove { $0.subscription.id == id }
        return released + settle()
    }

    mutating func unsubscribeAll() -> [History.Retention] {
        let released = remove { _ in true }
        return released + settle()
    }

    /// A snapshot is complete: its subscription goes on after `position`.
    mutating func release(_ pin: History.Retention, after position: Position, head: Position) -> [History.Retention] {
        guard let index = entries.firstIndex(where: { $0.state == .held(pin) }) else { return [] }
        let hasOthers = !active.isEmpty
        let begin = hasOthers && head.sequence < position.sequence ? head : position
        let released = join(pin, begin, head: head)
        entries[index].state = .active(after: position.sequence)
        return released + settle()
    }

    /// A snapshot failed.
    ///
    /// - Returns: the subscription that ended with it; nil when the hold was over.
    mutating func abandon(_ pin: History.Retention) -> (ended: TableSubscription, released: [History.Retention])? {
        guard let entry = entries.first(where: { $0.state == .held(pin) }) else { return nil }
        return (entry.subscription, unsubscribe(entry.subscription.id))
    }

    /// A new epoch: everything is live from its beginning, and the pins are gone with the old one.
    mutating func reset() {
        catchUp = nil
        meetingPoint = nil
        for index in entries.indices { entries[index].state = .active(after: 0) }
    }

    private mutating func insert(_ subscriptions: [TableSubscription], _ state: State) {
        for subscription in subscriptions {
            let index = entries.firstIndex { $0.subscription.id > subscription.id } ?? entries.endIndex
            entries.insert(Entry(subscription: subscription, state: state), at: index)
        }
    }

    private mutating func remove(where isMeant: (Entry) -> Bool) -> [History.Retention] {
        let removed = entries.filter(isMeant)
        entries.removeAll(where: isMeant)
        return removed.compactMap { if case .held(let pin) = $0.state { pin } else { nil } }
    }

    // MARK: Catching up

    /// Goes through the history from `position` on; those that are further ahead wait where they are.
    private mutating func join(_ pin: History.Retention, _ position: Position, head: Position) -> [History.Retention] {
        guard let current = catchUp else {
            pause(at: head.sequence)
            catchUp = CatchUp(pin: pin, after: position)
            return []
        }
        guard position.sequence < current.after.sequence else { return [pin] }
        goBack(to: position)
        catchUp?.pin = pin
        return [current.pin]
    }

    private mutating func goBack(to position: Position) {
        guard let current = catchUp else { return }
        pause(at: current.after.sequence)
        catchUp?.after = position
        catchUp?.progress = .running
    }

    /// Everything up to here was sent to every active subscription that gets it.
    private mutating func pause(at sequence: UInt64) {
        for index in entries.indices {
            guard case .active(let after) = entries[index].state, catchUp == nil || after < sequence else { continue }
            entries[index].state = .active(after: sequence)
        }
    }

    /// After a change: what there is to wait for, and whether there is anything to catch up with.
    private mutating func settle() -> [History.Retention] {
        guard let current = catchUp else { return [] }
        var afters: [UInt64] = []
        for entry in entries {
            if case .active(let after) = entry.state { afters.append(max(after, current.after.sequence)) }
        }
        guard let first = afters.min(), let last = afters.max() else {
            catchUp = nil
            meetingPoint = nil
            return [current.pin]
        }
        meetingPoint = hasSeveral && first < last ? last : nil
        if current.progress == .running { catchUp?.after = Position(epoch: current.after.epoch, sequence: first) }
        return []
    }

    /// Behind which transaction every active subscription is up with the others.
    var furthest: UInt64 {
        entries.reduce(0) { furthest, entry in
            if case .active(let after) = entry.state { max(furthest, after) } else { furthest }
        }
    }

    /// What the feed waited for was published.
    mutating func goOn(_ pin: History.Retention) {
        if catchUp?.pin == pin, catchUp?.progress == .waiting { catchUp?.progress = .running }
    }

    /// The change to live has come.
    mutating func goLive(_ pin: History.Retention) {
        if catchUp?.pin == pin, catchUp?.progress == .complete { catchUp = nil }
    }

    /// Goes on through the history, up to `reached`.
    ///
    /// - Returns: what the client gets of these transactions, in order.
    mutating func replay(
        _ publications: [any Publication],
        reached: Position,
        _ end: Sequencer.ReplayEnd
    ) -> [EncodedMessage] {
        var messages: [EncodedMessage] = []
        for publication in publications {
            let sequence = publication.position.sequence
            if let point = meetingPoint, point < sequence { messages.append(meet(at: point, reached.epoch)) }
            let count = messages.count
            var isForAll = true
            var encoder = publication.encoder()
            for entry in entries {
                guard case .active(let after) = entry.state else { continue }
                if after < sequence {
                    messages += encoder.messages(for: entry.subscription)
                } else if after > sequence {
                    isForAll = false
                }
            }
            let isMeeting = meetingPoint == sequence
            if isMeeting { meetingPoint = nil }
            if hasSeveral, isForAll, isMeeting || messages.count > count {
                messages.append(.transactionEnd(of: publication))
            }
        }
        if let point = meetingPoint, point <= reached.sequence { messages.append(meet(at: point, reached.epoch)) }
        catchUp?.after = reached
        switch end {
        case .more: break
        case .waiting: catchUp?.progress = .waiting
        case .live: catchUp?.progress = .complete
        }
        return messages
    }

    private mutating func meet(at sequence: UInt64, _ epoch: String) -> EncodedMessage {
        meetingPoint = nil
        return .transactionEnd(Position(epoch: epoch, sequence: sequence))
    }
}
