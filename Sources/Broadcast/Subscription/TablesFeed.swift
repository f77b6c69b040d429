import WireProtocol

/// The subscriptions of one connection to `tables`, and the progress of each. A value without I/O: selects the messages
/// of a transaction, and returns the pins of the history that are no longer needed.
///
/// All subscriptions process the transactions together, so that the messages of one transaction are contiguous. While
/// one of them is behind, because it resumes or follows its snapshot, the connection receives its transactions from the
/// history, in order: first those that only some of the subscriptions still need, and then all.
struct TablesFeed {
    enum State: Equatable {
        /// Receives the transactions after this one. Only used while the feed catches up: once it is live, all new
        /// transactions are after it.
        case active(after: UInt64)
        /// Its snapshot is being sent.
        case held(History.Retention)
    }

    struct Entry {
        let subscription: TableSubscription
        var state: State
    }

    /// The catch-up from the history to the live transactions.
    struct CatchUp: Equatable {
        enum Progress: Equatable {
            case running
            /// A snapshot saw transactions that are not published yet.
            case waiting
            /// The change to live is queued.
            case complete
        }

        /// Keeps the next transactions in the history.
        var pin: History.Retention
        /// Everything up to here was sent to the subscriptions that receive it.
        var after: Position
        var progress = Progress.running
    }

    /// In the order of ids, so that connections with equal subscriptions get equal bytes.
    private(set) var entries: [Entry] = []
    /// Nil while the feed is live.
    private(set) var catchUp: CatchUp?
    /// The position of the furthest of several subscriptions, which the others must reach: `transaction:end` is sent
    /// when they have.
    private var meetingPoint: UInt64?

    var isEmpty: Bool { entries.isEmpty }
    /// Each transaction ends with `transaction:end`.
    var hasSeveral: Bool { entries.count > 1 }

    /// The subscriptions that receive the transactions published now.
    var live: [TableSubscription] { catchUp == nil ? active : [] }

    /// Whether transactions that are published must still be replayed. Snapshots are no replays.
    var isReplaying: Bool { catchUp.map { $0.progress != .complete } ?? false }

    /// Whether some subscription does not receive the transactions published now.
    var isBehind: Bool {
        catchUp != nil || entries.contains { if case .held = $0.state { true } else { false } }
    }

    private var active: [TableSubscription] {
        entries.compactMap { if case .active = $0.state { $0.subscription } else { nil } }
    }

    /// The pins of this feed in the history.
    var pins: [History.Retention] {
        entries.compactMap { if case .held(let pin) = $0.state { pin } else { nil } } + (catchUp.map { [$0.pin] } ?? [])
    }

    func isHeld(_ pin: History.Retention) -> Bool { entries.contains { $0.state == .held(pin) } }

    // MARK: Changes. Each returns the pins that are not needed any more.

    /// Adds subscriptions (an equal one begins again), and ends the one that they replace.
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

    /// The transaction after which new subscriptions begin, if they do not wait for a snapshot.
    private func position(of change: SubscriptionChange) -> Position {
        if case .replay(_, let since) = change.start { return since }
        guard let catchUp else { return change.head }
        if change.start == .live(notResumed: nil),
            case .active(let after)? = entries.first(where: { $0.subscription.id == change.replaced })?.state
        {
            // The new one receives what the old one had not received yet.
            return Position(epoch: catchUp.after.epoch, sequence: max(after, catchUp.after.sequence))
        }
        // Transactions after the request may already have been sent to the other subscriptions.
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

    /// A snapshot is complete: its subscription continues after `position`.
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
    /// - Returns: the subscription that ended with it; nil when the hold had already ended.
    mutating func abandon(_ pin: History.Retention) -> (ended: TableSubscription, released: [History.Retention])? {
        guard let entry = entries.first(where: { $0.state == .held(pin) }) else { return nil }
        return (entry.subscription, unsubscribe(entry.subscription.id))
    }

    /// Begins a new epoch: everything is live from its beginning, and the pins of the old one are gone.
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

    /// Processes the history from `position`; subscriptions that are further ahead wait.
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

    /// Everything up to here was sent to every active subscription that receives it.
    private mutating func pause(at sequence: UInt64) {
        for index in entries.indices {
            guard case .active(let after) = entries[index].state, catchUp == nil || after < sequence else { continue }
            entries[index].state = .active(after: sequence)
        }
    }

    /// After a change: determines what to wait for, and whether there is anything to catch up with.
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

    /// The position that every active subscription must reach to be up to date with the others.
    var furthest: UInt64 {
        entries.reduce(0) { furthest, entry in
            if case .active(let after) = entry.state { max(furthest, after) } else { furthest }
        }
    }

    /// The transactions that the feed waited for were published.
    mutating func goOn(_ pin: History.Retention) {
        if catchUp?.pin == pin, catchUp?.progress == .waiting { catchUp?.progress = .running }
    }

    /// The change to live has been processed.
    mutating func goLive(_ pin: History.Retention) {
        if catchUp?.pin == pin, catchUp?.progress == .complete { catchUp = nil }
    }

    /// Continues through the history, up to `reached`.
    ///
    /// - Returns: the client's messages of these transactions, in order.
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
