package import WireProtocol

/// What a relay receives from its source, over its successive connections: proves that the transactions are contiguous, and
/// decides on actions, which the caller performs. A value without I/O.
package struct SourceSession: Sendable {
    package enum Action: Sendable, Hashable {
        case send(ClientMessage)
        /// The relay begins: the transactions after this position follow.
        case begin(Position)
        /// The same transactions go on under this epoch. Positions of the earlier ones are valid, each up to a sequence; nil when
        /// only the previous one is known.
        case rename(epoch: String, earlier: [String: UInt64]?)
        /// Transactions are missing. Those after this position until ``caughtUp`` are the new history, behind which the clients must
        /// begin again: so clients that received them elsewhere can resume here. `isAnnounced` as for ``gap(_:isAnnounced:)``.
        case restart(Position, isAnnounced: Bool)
        /// Transactions are missing: the clients must begin again at this position. `isAnnounced` when the source itself
        /// reports the new epoch.
        case gap(Position, isAnnounced: Bool)
        case publish(SourceTransaction)
        case state(RelayStatePayload)
        /// A notification of the source about its database.
        case notify(MessageType, JSONValue)
        /// The way to the source, as ids of relays.
        case path([String])
        /// Users of the source, and of other relays.
        case presence(PresenceReport)
        /// What the source knew when it received the `relay:check` with this id has been published.
        case checked(String)
        /// Everything that was committed when the connection was opened has been published.
        case caughtUp
        case stop(RelayError)
    }

    /// How many transactions from before its start a relay asks for, so that clients of other relays can resume here: the
    /// first number that the source still has.
    package static let backfillCounts: [UInt64] = [10_000, 1_000, 100]
    /// The `id` of the request, to which the source's answer refers.
    private static let request = "relay"
    /// A transaction of more bytes is not from a server whose limits are known.
    package static let maxTransactionBytes = 1 << 30

    let id: String
    /// The last published transaction; nil before the relay has begun.
    package private(set) var position: Position?
    /// The name of the database; nil before the first connection.
    package private(set) var database: String?
    private var connection = Connection()
    /// Whether the source has reported that it has no database, or no connection to its own source.
    package var sourceIsAway: Bool { connection.sourceIsAway }

    /// The state of one connection.
    private struct Connection: Hashable {
        /// The last transaction when it was opened.
        var head: Position?
        var isSubscribed = false
        /// The source does not have what follows ``SourceSession/position``.
        var isRestarting = false
        var hasCaughtUp = false
        /// The epochs before the source's current one.
        var earlierEpochs: [String: UInt64] = [:]
        /// The source has reported a new epoch.
        var hasEpochNotice = false
        var sourceIsAway = false
        /// What is left to try of ``SourceSession/backfillCounts``.
        var backfillCounts: ArraySlice<UInt64> = []
        /// The received part of a transaction.
        var partial: SourceTransaction?
        /// An answered `relay:check`: the relay has what the source knew once it has reached the position.
        var check: Check?
    }

    private struct Check: Hashable {
        let id: String
        let position: Position
    }

    /// - Parameter id: of the relay; a source that lists it is a client of the relay itself.
    package init(id: String) { self.id = id }

    /// Forgets the previous connection.
    package mutating func connected() { connection = Connection() }

    package mutating func received(_ envelope: Envelope) -> [Action] {
        switch envelope.payload {
        case .connectionAck(let acknowledgement):
            return greeted(acknowledgement)
        case .subscribed(let subscribed) where subscribed.channel == .tables:
            guard let position = subscribed.position else { return [.stop(.protocolViolation)] }
            return self.subscribed(at: position, subscribed.recovered, isAnswer: envelope.header.replyTo != nil)
        case .error(let error) where envelope.header.replyTo == Self.request:
            return [.stop(.refused(error.message, code: error.code))]
        case .custom(RelayFormat.transaction, let data):
            return received(RelayTransactionPayload(data), envelope.header)
        case .custom(RelayFormat.state, let data):
            guard let state = RelayStatePayload(data) else { return [.stop(.protocolViolation)] }
            connection.earlierEpochs = state.earlierEpochs
            connection.sourceIsAway = state.goneBecause != nil
            return connection.isSubscribed ? [.state(state)] : []
        case .custom(RelayFormat.path, let data):
            guard case .object(let fields) = data, case .array(let values)? = fields["relays"] else { return [] }
            return path(values.compactMap { if case .string(let id) = $0 { id } else { nil } })
        case .custom(RelayFormat.renamed, let data):
            return renamed(data)
        case .custom(RelayFormat.presence, let data):
            // Both have the same version: another form is a violation.
            guard let report = try? PresenceReport(data) else { return [.stop(.protocolViolation)] }
            return [.presence(report)]
        case .custom(RelayFormat.checked, let data):
            guard let id = envelope.header.replyTo, let position = Position(in: data) else {
                return [.stop(.protocolViolation)]
            }
            connection.check = Check(id: id, position: position)
            return checked()
        case .custom(let type, let data) where type.rawValue.hasPrefix("database:"):
            switch type.rawValue {
            case "database:epoch": connection.hasEpochNotice = true
            case "database:gone": connection.sourceIsAway = true
            case "database:back": connection.sourceIsAway = false
            default: break
            }
            return [.notify(type, data)]
        default:
            return []
        }
    }

    // MARK: The beginning of a connection

    private mutating func greeted(_ acknowledgement: ConnectionAckPayload) -> [Action] {
        guard let database = acknowledgement.database, let head = acknowledgement.position else {
            return [.stop(.noDatabase)]
        }
        guard acknowledgement.serverInfo.capabilities.contains(RelayFormat.capability) else {
            return [.stop(.versionDiffers(acknowledgement.serverInfo.version))]
        }
        let path = path(acknowledgement.relays ?? [])
        if case .stop? = path.first { return path }
        self.database = database
        connection.head = head
        connection.backfillCounts = Self.backfillCounts[...]
        return path + [subscribe(since: position ?? nextBackfill())]
    }

    private func path(_ relays: [String]) -> [Action] {
        relays.contains(id) ? [.stop(.loop)] : [.path(relays + [id])]
    }

    private mutating func nextBackfill() -> Position? {
        guard let head = connection.head, head.sequence > 0, let count = connection.backfillCounts.popFirst() else {
            return nil
        }
        return Position(epoch: head.epoch, sequence: head.sequence - min(count, head.sequence))
    }

    private func subscribe(since: Position?) -> Action {
        .send(
            ClientMessage(
                id: Self.request,
                .subscribe(SubscribeRequest(channel: .tables, filter: .forRelay, since: since))
            )
        )
    }

    private mutating func subscribed(at start: Position, _ recovered: Bool?, isAnswer: Bool) -> [Action] {
        connection.partial = nil
        if let position, isAnswer, recovered != true || start.sequence != position.sequence {
            connection.isRestarting = true
        }
        guard let position, !(isAnswer && connection.isRestarting) else {
            if recovered == false, let since = nextBackfill() { return [subscribe(since: since)] }
            let isAnnounced = connection.hasEpochNotice
            return begin(at: start, [position == nil ? .begin(start) : .restart(start, isAnnounced: isAnnounced)])
        }
        guard isAnswer else {
            connection = Connection(head: start, isRestarting: true, hasEpochNotice: true, check: connection.check)
            connection.backfillCounts = Self.backfillCounts[...]
            // Without a request there is no state either: the tables can be others now.
            return [subscribe(since: nextBackfill() ?? start)]
        }
        let earlier = connection.earlierEpochs
        return begin(at: start, start.epoch == position.epoch ? [] : [.rename(epoch: start.epoch, earlier: earlier)])
    }

    private mutating func begin(at start: Position, _ actions: [Action]) -> [Action] {
        position = start
        connection.isSubscribed = true
        connection.isRestarting = false
        return actions + caughtUp() + checked()
    }

    /// The source is a relay, and its own source was restarted.
    private mutating func renamed(_ data: JSONValue) -> [Action] {
        guard let new = Position(in: data), case .object(let fields) = data,
            let earlier = RelayStatePayload.epochs(fields["earlierEpochs"])
        else { return [.stop(.protocolViolation)] }
        guard connection.isSubscribed, let position else { return [] }
        // The message can overtake transactions of a replay, and the transactions can overtake it.
        let isKnown = new.epoch == position.epoch || earlier[position.epoch].map { position.sequence <= $0 } ?? false
        guard isKnown else {
            self.position = new
            return [.gap(new, isAnnounced: false)]
        }
        self.position = Position(epoch: new.epoch, sequence: position.sequence)
        return [.rename(epoch: new.epoch, earlier: earlier)]
    }

    /// Reports once for each connection that the relay is up to date.
    private mutating func caughtUp() -> [Action] {
        guard !connection.hasCaughtUp, let position, let head = connection.head,
            position.epoch != head.epoch || position.sequence >= head.sequence
        else { return [] }
        connection.hasCaughtUp = true
        return [.caughtUp]
    }

    /// The answer can overtake transactions of a replay.
    private mutating func checked() -> [Action] {
        guard let check = connection.check, let position, connection.hasCaughtUp, !connection.isRestarting,
            // In another run everything before it is over.
            position.run != check.position.run || position.sequence >= check.position.sequence
        else { return [] }
        connection.check = nil
        return [.checked(check.id)]
    }

    // MARK: Transactions

    private mutating func received(_ part: RelayTransactionPayload?, _ header: EnvelopeHeader) -> [Action] {
        guard let part else { return [.stop(.protocolViolation)] }
        guard connection.isSubscribed else { return [] }
        let position = part.transaction.position
        var transaction = connection.partial ?? SourceTransaction(position: position, timestamp: header.timestamp)
        guard transaction.position == position, transaction.bytes.count + part.bytes.count <= Self.maxTransactionBytes
        else { return [.stop(.protocolViolation)] }
        transaction.bytes += part.bytes
        guard part.transaction.isLast else {
            connection.partial = transaction
            return []
        }
        connection.partial = nil
        return received(transaction)
    }

    private mutating func received(_ transaction: SourceTransaction) -> [Action] {
        let found = transaction.position
        guard let position, found.sequence > 0 else { return [.stop(.protocolViolation)] }
        // Without `subscribed`, only a restart whose epoch goes on changes the epoch of a connection.
        let isRenamed = found.epoch != position.epoch && found.run == position.run
        guard found.sequence > position.sequence || !(isRenamed || found.epoch == position.epoch) else { return [] }
        self.position = found
        let isNext = (isRenamed || found.epoch == position.epoch) && found.sequence == position.sequence + 1
        let before = Position(epoch: found.epoch, sequence: found.sequence - 1)
        let actions: [Action] =
            if !isNext { [.gap(before, isAnnounced: false)] } else if isRenamed {
                [.rename(epoch: found.epoch, earlier: nil)]
            } else { [] }
        return actions + [.publish(transaction)] + caughtUp() + checked()
    }
}

extension Position {
    /// What the epochs of one run of transactions through several processes have in common.
    fileprivate var run: Substring { epoch.prefix { $0 != "-" } }

    /// The field `position`; nil for data of another form.
    fileprivate init?(in data: JSONValue) {
        guard case .object(let fields) = data, case .string(let text)? = fields["position"],
            // Whatever is wrong with the text, it is no position.
            let position = try? Position(parsing: text)
        else { return nil }
        self = position
    }
}

/// A transaction as the source encoded it.
package struct SourceTransaction: Sendable, Hashable {
    package var position: Position
    /// Unix milliseconds of the commit.
    package var timestamp: Int64
    package var bytes: [UInt8] = []

    package init(position: Position, timestamp: Int64, bytes: [UInt8] = []) {
        self.position = position
        self.timestamp = timestamp
        self.bytes = bytes
    }
}
