#if NATS
    import NATSConnection
    import TablecastClient
    import TablecastRelay
    import WireProtocol

    /// The place of an edge in a stream.
    struct StreamCursor {
        /// The stream by its creation.
        var stream: Int64?
        /// The last message that was received.
        var sequence: UInt64 = 0
        /// Whether to begin at a state instead of after the last message.
        var mustSynchronize = false
        /// Whether no process publishes into the stream.
        var isSourceGone = false
    }

    /// One connection of an edge: finds where to begin, and passes on what it reads until the connection is lost. Used by one thread.
    final class StreamReader {
        /// Transactions from before the start that an edge reads, so that clients of other edges can resume at it.
        static let backfillMessages: UInt64 = 20_000
        /// What the broker sends ahead.
        private static let maxWaitingMessages = 65_536
        private static let maxWaitingBytes = 64 << 20
        /// Checks of an idle reader that is not at the end, after which another one begins.
        private static let maxIdleChecks = 2
        /// The wait for a message, after which requests of clients are looked for.
        private static let maxWait = Duration.milliseconds(50)
        /// How often an idle reader compares its place with the end of the stream.
        private static let idleCheck = Duration.seconds(1)
        /// Requests for a state, at most one in this time.
        private static let stateRequestInterval = Duration.seconds(1)
        /// How long an edge without a state waits for one from the source.
        private static let maxStateWait = Duration.seconds(5)

        let connection: NATSConnection
        private let stream: NATSStream
        private let checks = StreamChecks()
        private let name: StreamName
        private let receiver: any SourceReceiver
        /// As of the beginning of the connection.
        private let info: NATSStreamInfo
        private var lastStateRequest: ContinuousClock.Instant?

        init(
            _ address: NATSAddress,
            _ name: StreamName,
            _ receiver: any SourceReceiver,
            server: TablecastClient?,
            relay: String
        ) throws(StreamError) {
            self.name = name
            self.receiver = receiver
            let connection = try broker { () throws(NATSError) in try NATSConnection(address, name: "tablecast relay") }
            let stream = NATSStream("\(name)", subject: name.subject, of: connection)
            guard let info = try broker({ () throws(NATSError) in try stream.info() }) else {
                throw .noStream("there is no stream '\(name)': a source creates it, tablecast serve --nats")
            }
            // A mirror has the messages of another stream.
            if !info.isMirror, info.subjects != [name.subject] {
                throw .otherStream(info.problem(subject: name.subject) ?? "it has other subjects")
            }
            self.connection = connection
            self.stream = stream
            self.info = info
            receiver.connected(to: server, checks.requests)
            _ = receiver.perform(.path([relay]), database: nil)
        }

        func close() {
            checks.requests.finish()
            connection.close()
        }

        /// Reads until `isEnding`, or until another reader must go on at the cursor.
        func read(
            _ session: inout StreamSession,
            _ cursor: inout StreamCursor,
            isEnding: () -> Bool
        ) throws(StreamError) {
            // A stream that lost its end in a crash of the broker has other messages after it.
            let resumes =
                !cursor.mustSynchronize && cursor.stream == info.created && cursor.sequence <= info.lastSequence
            let start = try resumes ? cursor.sequence + 1 : firstSequence(for: session)
            cursor.stream = info.created
            cursor.sequence = start - 1
            // The end of the connection was reported as well, and that it is open again.
            cursor.isSourceGone = false
            let actions = session.connected(at: start, head: info.lastSequence, isSynchronized: !resumes)
            for action in actions { _ = try perform(action, session) }
            let messages = try broker { () throws(NATSError) in
                try stream.messages(
                    from: start,
                    maxWaiting: Self.maxWaitingMessages,
                    maxWaitingBytes: Self.maxWaitingBytes
                )
            }
            cursor.mustSynchronize = try !follow(messages, &session, &cursor, isEnding)
        }

        /// Passes on messages; returns whether to read again after the last one, and not from a state.
        private func follow(
            _ messages: NATSSubscription,
            _ session: inout StreamSession,
            _ cursor: inout StreamCursor,
            _ isEnding: () -> Bool
        ) throws(StreamError) -> Bool {
            let began = ContinuousClock.now
            var idleChecks = 0
            var lastIdleCheck = began
            while !isEnding() {
                try answerChecks(session)
                let message: NATSMessage?
                do throws(NATSError) {
                    message = try messages.next(within: Self.maxWait)
                } catch {
                    throw .broker(connection.isClosed ? connection.failure : error)
                }
                guard let message else {
                    if ContinuousClock.now - lastIdleCheck < Self.idleCheck { continue }
                    lastIdleCheck = .now
                    guard let now = try broker({ () throws(NATSError) in try stream.info() }) else {
                        throw .noStream("the stream '\(name)' was deleted")
                    }
                    if now.created != info.created || now.lastSequence < cursor.sequence { return false }
                    // The broker has forgotten the reader, which was stopped for too long.
                    idleChecks = now.lastSequence > cursor.sequence ? idleChecks + 1 : 0
                    if idleChecks >= Self.maxIdleChecks { return true }
                    if session.position == nil { try waitForState(since: began) }
                    try lookForSource(&cursor)
                    continue
                }
                idleChecks = 0
                lastIdleCheck = .now
                let actions = session.received(try StreamRecord(of: message), at: message.sequence)
                cursor.sequence = message.sequence
                for action in actions where try !perform(action, session) { return false }
            }
            return true
        }

        private func answerChecks(_ session: StreamSession) throws(StreamError) {
            let answered = try checks.answered(by: session) { () throws(StreamError) in
                // Without an answer, or with none of this version, it is asked again.
                try ask(ControlRequest.position).flatMap { try? Position(parsing: $0) }
            }
            if let answered { _ = receiver.perform(.checked(answered), database: nil) }
        }

        /// False to read again from a state.
        private func perform(_ action: StreamSession.Action, _ session: StreamSession) throws(StreamError) -> Bool {
            switch action {
            case .perform(.stop(let error)): throw .otherStream("\(error)")
            case .perform(let action):
                guard receiver.perform(action, database: session.database) else {
                    throw .otherStream("a message cannot be read")
                }
            case .requestState: try requestState()
            case .refuse(let database): throw .otherDatabase(database, expected: session.database ?? "")
            case .synchronize: return false
            }
            return true
        }

        // MARK: Where to begin

        /// The newest state from which nothing is missing for the edge; without one, a state that leaves enough transactions for clients
        /// that resume; without any state, the next message.
        private func firstSequence(for session: StreamSession) throws(StreamError) -> UInt64 {
            guard let last = try broker({ () throws(NATSError) in try stream.lastMessage() }) else {
                return info.lastSequence + 1
            }
            var sequence = try StreamRecord(of: last).stateSequence
            var backfill: UInt64?
            while sequence > 0, sequence >= info.firstSequence {
                let message = try broker { () throws(NATSError) in try stream.message(at: sequence) }
                guard let message, case let record = try StreamRecord(of: message), case .state(let state) = record.body
                else {
                    break
                }
                if session.precedes(record.position) { return sequence }
                if backfill.map({ last.sequence - $0 < Self.backfillMessages }) ?? true { backfill = sequence }
                if session.position == nil, last.sequence - sequence >= Self.backfillMessages { break }
                sequence = state.previous
            }
            return backfill ?? info.lastSequence + 1
        }

        /// Notifies the clients when the source stops or starts to publish: its transactions do not show it.
        private func lookForSource(_ cursor: inout StreamCursor) throws(StreamError) {
            let isGone = try ask(ControlRequest.identity) == nil
            guard isGone != cursor.isSourceGone else { return }
            cursor.isSourceGone = isGone
            let type = MessageType(isGone ? "database:gone" : "database:back")
            let message =
                isGone ? "the source does not publish; changes continue when it is back" : "the source publishes again"
            _ = receiver.perform(.notify(type, .object(["message": .string(message)])), database: nil)
        }

        /// The answer of the source; nil when there is none.
        private func ask(_ request: String) throws(StreamError) -> String? {
            do throws(NATSError) {
                return try connection.request(request, to: name.control)
            } catch {
                // A source that is stopped does not answer in time.
                guard error.kind == .unreachable, !connection.isClosed else { throw .broker(error) }
                return nil
            }
        }

        private func waitForState(since began: ContinuousClock.Instant) throws(StreamError) {
            guard ContinuousClock.now - began < Self.maxStateWait else {
                throw .noStream("the stream '\(name)' has no state, and no source that publishes answers")
            }
            try requestState()
        }

        private func requestState() throws(StreamError) {
            if let lastStateRequest, ContinuousClock.now - lastStateRequest < Self.stateRequestInterval { return }
            lastStateRequest = .now
            _ = try ask(ControlRequest.state)
        }
    }

    /// Reports the failure of a broker.
    private func broker<Result>(_ body: () throws(NATSError) -> Result) throws(StreamError) -> Result {
        do throws(NATSError) {
            return try body()
        } catch {
            throw .broker(error)
        }
    }

    extension StreamRecord {
        fileprivate init(of message: NATSMessage) throws(StreamError) {
            do throws(StreamRecordError) {
                try self.init(message.bytes)
            } catch {
                throw error == .malformed
                    ? .otherStream("message \(message.sequence) is not from this program") : .versionDiffers
            }
        }
    }
#endif
