#if NATS
    import TablecastRelay
    import WireProtocol

    /// What an edge receives from a stream: proves that the transactions are contiguous, and decides on actions, which the caller
    /// performs. A value without I/O.
    ///
    /// The broker removes old messages, can lose the newest in a crash, and delivers after either without saying so. So contiguity
    /// follows from the epoch, the sequence and the part alone. Where it is broken the caller reads again, from a state that precedes
    /// the position; only what is missing then is a gap.
    struct StreamSession {
        enum Action: Hashable {
            case perform(SourceSession.Action)
            /// Read again, from the newest state that is not after ``position``.
            case synchronize
            /// Ask the source for a state.
            case requestState
            /// The stream has the changes of another database, with its name.
            case refuse(database: String)
        }

        /// The last published transaction; nil before the first state.
        private(set) var position: Position?
        private(set) var database: String?
        /// Other epochs of the same run, each with its last sequence.
        private var earlierEpochs: [String: UInt64] = [:]
        private var partial: SourceTransaction?
        private var nextPart = 0
        /// The last message at the beginning of the connection: the edge has caught up there.
        private var head: UInt64 = 0
        private var hasCaughtUp = false
        /// Whether nothing was received since a state was looked for: what is missing now is missing in the stream.
        private var isSynchronized = false
        private var needsState = false
        private var hasEpochNotice = false

        /// Begins to read.
        ///
        /// - Parameters:
        ///   - sequence: of the first message that is read.
        ///   - head: the last message of the stream.
        ///   - isSynchronized: whether it begins at the newest state that is not after ``position``, or at the oldest that is kept.
        mutating func connected(at sequence: UInt64, head: UInt64, isSynchronized: Bool) -> [Action] {
            self.head = max(head, self.head)
            self.isSynchronized = isSynchronized
            partial = nil
            return caughtUp(through: sequence - 1)
        }

        /// The connection was lost: the next one reports when the edge has caught up.
        mutating func disconnected() {
            hasCaughtUp = false
            head = 0
        }

        /// Whether a reader at the state's position misses nothing that this edge needs.
        func precedes(_ state: Position) -> Bool {
            guard let position else { return false }
            return isSameRun(state, with: [:]) && state.sequence <= position.sequence
        }

        /// Whether everything up to a transaction of the source has been received.
        func hasReached(_ other: Position) -> Bool {
            guard let position else { return false }
            // An earlier epoch of the run is over.
            return other.epoch == position.epoch
                ? position.sequence >= other.sequence : earlierEpochs[other.epoch] != nil
        }

        /// - Parameter sequence: of the message in the stream.
        mutating func received(_ record: StreamRecord, at sequence: UInt64) -> [Action] {
            let actions: [Action]
            switch record.body {
            case .state(let state): actions = received(state, at: record.position)
            case .part(let part): actions = received(part, of: record.position)
            case .notice(let type, let data): actions = received(type, data, at: record.position)
            }
            if actions.contains(.synchronize) { return actions }
            return actions + caughtUp(through: sequence)
        }

        /// Reports once for each connection that the edge is up to date.
        private mutating func caughtUp(through sequence: UInt64) -> [Action] {
            guard sequence >= head, position != nil, !hasCaughtUp else { return [] }
            hasCaughtUp = true
            return [.perform(.caughtUp)]
        }

        // MARK: States

        private mutating func received(_ state: StreamState, at start: Position) -> [Action] {
            partial = nil
            if let database, database != state.database { return [.refuse(database: state.database)] }
            database = state.database
            guard let position else { return begin(state, at: start, []) + [.perform(.state(state.relay))] }
            guard isSameRun(start, with: state.relay.earlierEpochs), start.sequence <= position.sequence else {
                guard isSynchronized else { return [.synchronize] }
                defer { hasEpochNotice = false }
                return begin(state, at: start, [.perform(.gap(start, isAnnounced: hasEpochNotice))])
                    + [.perform(.state(state.relay))]
            }
            // Older than what was received: its epoch, its tables too.
            guard start.sequence == position.sequence,
                start.epoch == position.epoch || earlierEpochs[start.epoch] == nil
            else { return [] }
            let isRenamed = start.epoch != position.epoch
            let actions: [Action] = isRenamed || needsState ? [.perform(.state(state.relay))] : []
            let renaming = SourceSession.Action.rename(epoch: start.epoch, earlier: state.relay.earlierEpochs)
            return begin(state, at: start, isRenamed ? [.perform(renaming)] : []) + actions
        }

        private mutating func begin(_ state: StreamState, at start: Position, _ actions: [Action]) -> [Action] {
            defer {
                position = start
                earlierEpochs = state.relay.earlierEpochs
                isSynchronized = false
                needsState = false
            }
            return position == nil ? [.perform(.begin(start))] : actions
        }

        /// Whether the two name transactions of one history.
        private func isSameRun(_ other: Position, with earlierOfOther: [String: UInt64]) -> Bool {
            guard let position else { return false }
            if other.epoch == position.epoch { return true }
            if let last = earlierEpochs[other.epoch], other.sequence <= last { return true }
            if let last = earlierOfOther[position.epoch], position.sequence <= last { return true }
            return false
        }

        // MARK: Transactions

        private mutating func received(_ part: TransactionPart, of found: Position) -> [Action] {
            // Before the first state.
            guard let position else { return [] }
            if isSameRun(found, with: [:]), found.sequence <= position.sequence {
                partial = nil
                return []
            }
            let isNext = found == position.next
            guard part.index == (partial == nil ? 0 : nextPart), partial?.position ?? found == found else {
                partial = nil
                guard isSynchronized else { return [.synchronize] }
                // Nothing before it is kept: the next transaction begins after the gap.
                return []
            }
            guard isNext || isSynchronized else { return [.synchronize] }
            var transaction = partial ?? SourceTransaction(position: found, timestamp: part.timestamp)
            guard transaction.bytes.count + part.bytes.count <= SourceSession.maxTransactionBytes else {
                return [.perform(.stop(.protocolViolation))]
            }
            transaction.bytes += part.bytes
            guard part.isLast else {
                partial = transaction
                nextPart = part.index + 1
                return []
            }
            partial = nil
            isSynchronized = false
            self.position = found
            if isNext { return [.perform(.publish(transaction))] }
            needsState = true
            let before = Position(epoch: found.epoch, sequence: found.sequence - 1)
            return [
                .perform(.gap(before, isAnnounced: false)), .perform(.publish(transaction)), .requestState,
            ]
        }

        // MARK: Notifications

        private mutating func received(_ type: MessageType, _ data: JSONValue, at found: Position) -> [Action] {
            // One from before the position was received before.
            guard let position, !isSameRun(found, with: [:]) || found.sequence >= position.sequence else { return [] }
            if type.rawValue == "database:epoch" { hasEpochNotice = true }
            return [.perform(.notify(type, data))]
        }
    }
#endif
