#if NATS
    import Broadcast
    import NATSConnection
    import SQLiteConnection
    import Tablecast
    import WireProtocol

    #if canImport(Glibc)
        import Glibc
    #elseif canImport(Musl)
        import Musl
    #else
        import Darwin
    #endif

    /// One connection of a publisher: finds where the stream ends, continues there, and publishes until the connection is lost. Used by
    /// the publisher's thread; two further threads only read acknowledgements and requests.
    final class PublishingSession {
        /// What was stored since the last report.
        struct Progress {
            var stored: Position
            var messages: Int
        }

        /// A broker that stores nothing for this long is given up.
        static let maxAcknowledgementWait = Duration.seconds(5)
        private static let reportInterval = Duration.milliseconds(250)
        /// Bytes of the history that are read at a time.
        private static let maxReadBytes = 1 << 20

        private let service: TablecastService
        private let state: Monitor<StreamPublisher.State>
        private let follower: HistoryFollower
        private let stream: NATSStream
        private let inbox: String
        private let threads: [NamedThread]
        private var outbox: StreamOutbox
        private var messages = 0
        private var lastReport = ContinuousClock.now
        private var lastProgress = ContinuousClock.now
        /// The last transaction that was in the stream before.
        let start: Position

        init(
            _ publisher: String,
            _ service: TablecastService,
            _ address: NATSAddress,
            _ name: StreamName,
            _ state: Monitor<StreamPublisher.State>,
            _ follower: HistoryFollower
        ) throws(StreamError) {
            self.service = service
            self.state = state
            self.follower = follower
            let database = service.databaseName
            let identity = "\(database) of process \(getpid()) on \(Self.hostName), run \(publisher)"
            let found: StreamEnd
            let isFollowing: Bool
            do throws(NATSError) {
                let connection = try NATSConnection(address, name: "tablecast serve \(database)")
                stream = NATSStream("\(name)", subject: name.subject, of: connection)
                inbox = try NATSConnection.makeInbox()
                found = try StreamEnd(of: stream, name, database: database, state)
            } catch {
                throw .broker(error)
            }
            if let error = found.error { throw error }
            let continuing = found.position.map(service.server.hub.resolve)
            isFollowing = continuing.map { follower.begin(after: $0) } ?? false
            let head = service.server.hub.position
            if !isFollowing { _ = follower.begin(after: head) }
            let start = isFollowing ? continuing ?? head : head
            self.start = start
            outbox = StreamOutbox(
                publisher: publisher,
                database: database,
                start: start,
                lastSequence: found.lastSequence,
                stateSequence: found.stateSequence,
                maxMessageBytes: found.maxMessageBytes
            )
            let connection = stream.connection
            state.update { state in
                state.acknowledged = found.lastSequence
                state.failure = nil
            }
            do throws(NATSError) {
                let acknowledgements = try connection.subscribe("\(inbox).*")
                let requests = try connection.subscribe(name.control)
                threads = try Self.startThreads(acknowledgements, requests, connection, state) { request in
                    request == ControlRequest.position ? service.server.hub.position.description : identity
                }
            } catch {
                // Ends a thread that has started.
                connection.close()
                throw .broker(error)
            }
        }

        /// Ends the connection and its threads.
        func close() {
            stream.connection.close()
            for thread in threads { thread.join() }
        }

        private static var hostName: String {
            var name = [CChar](repeating: 0, count: 256)
            guard gethostname(&name, name.count - 1) == 0 else { return "an unknown host" }
            return name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        }

        // MARK: The other threads

        private static func startThreads(
            _ acknowledgements: NATSSubscription,
            _ requests: NATSSubscription,
            _ connection: NATSConnection,
            _ state: Monitor<StreamPublisher.State>,
            answer: @escaping @Sendable (String) -> String
        ) throws(NATSError) -> [NamedThread] {
            do throws(NamedThread.StartError) {
                return [
                    try NamedThread(name: "nats-acks") { readAcknowledgements(acknowledgements, connection, state) },
                    try NamedThread(name: "nats-requests") { readRequests(requests, connection, state, answer) },
                ]
            } catch {
                throw NATSError(.other, "the system refuses to start another thread")
            }
        }

        private static func readAcknowledgements(
            _ subscription: NATSSubscription,
            _ connection: NATSConnection,
            _ state: Monitor<StreamPublisher.State>
        ) {
            while !connection.isClosed {
                do throws(NATSError) {
                    guard let message = try subscription.next(within: .seconds(1)) else { continue }
                    // The last token is the sequence that was expected.
                    let sequence = message.subject.split(separator: ".").last.flatMap { UInt64($0) } ?? 0
                    let failure: StreamError?
                    if message.isWithoutReceiver {
                        failure = .refused("no stream listens on the subject")
                    } else {
                        switch PublishAnswer(message.bytes) {
                        case .stored: failure = nil
                        case .wrongSequence: failure = .refused("another message came before")
                        case .refused(let reason): failure = .refused(reason)
                        }
                    }
                    state.update { state in
                        // Later ones fail because of the first.
                        guard state.failure == nil else { return }
                        state.failure = failure
                        if failure == nil { state.acknowledged = max(state.acknowledged, sequence) }
                    }
                } catch {
                    break
                }
            }
            let failure = connection.failure
            state.update { $0.failure = $0.failure ?? .broker(failure) }
        }

        /// Ends with the connection.
        private static func readRequests(
            _ subscription: NATSSubscription,
            _ connection: NATSConnection,
            _ state: Monitor<StreamPublisher.State>,
            _ answer: (String) -> String
        ) {
            while !connection.isClosed {
                do throws(NATSError) {
                    guard let message = try subscription.next(within: .seconds(1)) else { continue }
                    let request = String(decoding: message.bytes, as: UTF8.self)
                    if request == ControlRequest.state { state.update { $0.wantsState = true } }
                    try connection.answer(message, answer(request))
                } catch {
                    return
                }
            }
        }

        // MARK: Publishing

        /// Publishes a state, and then the transactions until the publisher ends. Call ``close()`` afterwards.
        ///
        /// - Throws: when the connection was lost, or the broker refused a message.
        func publish(flushWithin limit: Duration, _ report: (Progress) -> Void) throws(StreamError) {
            try sendState()
            // If it is refused because of a message that has come meanwhile, nothing else is on its way.
            let first = outbox.lastSequence
            while outbox.hasUnacknowledged, !state.withLock({ $0.isEnding }) {
                _ = state.wait(atMost: .milliseconds(500)) { state in
                    state.acknowledged >= first || state.failure != nil || state.isEnding ? true : nil
                }
                try settle()
            }
            var end: ContinuousClock.Instant?
            while true {
                let (isEnding, wantsState, notices) = state.withLock { state in
                    defer {
                        state.hasChanged = false
                        state.wantsState = false
                        state.notices = []
                    }
                    return (state.isEnding, state.wantsState, state.notices)
                }
                if wantsState || outbox.isStateDue { try sendState() }
                for notice in notices { try send(outbox.notice(notice.type, notice.data)) }
                let hasMore = try publishNext()
                try settle()
                if ContinuousClock.now - lastReport >= Self.reportInterval || !hasMore { self.report(report) }
                if isEnding {
                    if !hasMore, !outbox.hasUnacknowledged { return }
                    if let end, ContinuousClock.now >= end { return }
                    end = end ?? ContinuousClock.now + limit
                }
                if !hasMore { waitForWork(isEnding) }
            }
        }

        private func report(_ report: (Progress) -> Void) {
            report(Progress(stored: outbox.stored, messages: messages))
            messages = 0
            lastReport = ContinuousClock.now
        }

        /// Publishes the next transactions of the history; returns whether there were any.
        private func publishNext() throws(StreamError) -> Bool {
            let answer = Monitor<HistoryFollower.Step?>(nil)
            follower.read(after: outbox.sent, maxBytes: Self.maxReadBytes) { step in answer.update { $0 = step } }
            // Reading from the disk takes as long as the disk.
            let step = answer.wait(atMost: .seconds(60)) { $0 } ?? .unavailable
            switch step {
            case .transactions(let transactions):
                for transaction in transactions { try publish(transaction) }
                return !transactions.isEmpty
            case .unavailable:
                let head = service.server.hub.position
                _ = follower.begin(after: head)
                try sendState(at: head)
                return true
            }
        }

        private func publish(_ publication: any Publication) throws(StreamError) {
            guard let bytes = RelayCoding.encode(publication) else { return }
            var (offset, index): (Int?, Int) = (0, 0)
            while let from = offset {
                let (message, next) = outbox.part(
                    index,
                    of: bytes,
                    from: from,
                    position: publication.position,
                    timestamp: publication.timestamp
                )
                try send(message)
                offset = next
                index += 1
            }
        }

        private func sendState(at position: Position? = nil) throws(StreamError) {
            guard let message = outbox.state(service.relayState, at: position) else {
                throw .refused("the tables of the database do not fit into one message; raise the broker's max_payload")
            }
            try send(message)
        }

        private func send(_ message: StreamOutbox.Message) throws(StreamError) {
            do throws(NATSError) {
                try stream.connection.publish(
                    message.bytes,
                    to: stream.subject,
                    answer: "\(inbox).\(message.sequence)",
                    expectingLast: message.sequence - 1
                )
            } catch {
                throw .broker(error)
            }
            messages += 1
            while outbox.isFull {
                try settle()
                if outbox.isFull { waitForAcknowledgement() }
            }
        }

        /// Takes the acknowledgements that have come.
        private func settle() throws(StreamError) {
            let (acknowledged, failure) = state.withLock { ($0.acknowledged, $0.failure) }
            let before = outbox.stored
            let wasWaiting = outbox.hasUnacknowledged
            outbox.acknowledged(through: acknowledged)
            if outbox.stored != before || !wasWaiting {
                lastProgress = .now
                if outbox.stored != before { follower.release(through: outbox.stored) }
            }
            if let failure { throw failure }
            if outbox.hasUnacknowledged, ContinuousClock.now - lastProgress > Self.maxAcknowledgementWait {
                throw .broker(NATSError(.unreachable, "the broker does not acknowledge messages"))
            }
        }

        private func waitForAcknowledgement() {
            let acknowledged = state.withLock { $0.acknowledged }
            _ = state.wait(atMost: .milliseconds(500)) { state in
                state.acknowledged > acknowledged || state.failure != nil ? true : nil
            }
        }

        private func waitForWork(_ isEnding: Bool) {
            let acknowledged = state.withLock { $0.acknowledged }
            _ = state.wait(atMost: .milliseconds(500)) { state in
                let hasWork = state.hasChanged || state.wantsState || !state.notices.isEmpty
                let isNew = state.acknowledged > acknowledged || state.failure != nil || state.isEnding != isEnding
                return hasWork || isNew ? true : nil
            }
        }
    }
#endif
