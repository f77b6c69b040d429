#if NATS
    import Broadcast
    package import Logging
    package import NATSConnection
    import SQLiteConnection
    import Synchronization
    package import Tablecast
    import TablecastClient
    import WireProtocol

    /// Publishes every transaction of a service into a stream, from a thread of its own.
    ///
    /// It reads the transactions from the service's history: what the broker has not acknowledged stays there, and a broker that is
    /// slow or away delays no client of the service. Thread-safe.
    package final class StreamPublisher: Sendable {
        private static let maxReconnectWait = Duration.seconds(5)
        /// How long the start of a server waits for its broker.
        private static let maxFirstAttempt = Duration.seconds(5)
        /// The time for what is not stored yet when the service ends.
        private static let maxFlush = Duration.seconds(2)
        /// Notifications that wait for the broker; older ones are dropped.
        private static let maxWaitingNotices = 64

        /// What the publisher's thread waits for.
        struct State: Sendable {
            var isEnding = false
            /// The history has changed.
            var hasChanged = false
            var wantsState = false
            var notices: [(type: MessageType, data: JSONValue)] = []
            /// By the connection: the last acknowledged message, or why there will be none.
            var acknowledged: UInt64 = 0
            var failure: StreamError?
            var firstAttempt: Result<Void, StreamError>?
        }

        private let service: TablecastService
        private let address: NATSAddress
        private let name: StreamName
        private let logger: Logger
        private let state = Monitor(State())
        private let thread = Mutex<NamedThread?>(nil)
        /// Names this run of the process in the stream.
        let id = Epoch.make()

        package init(_ service: TablecastService, _ address: NATSAddress, stream: StreamName, logger: Logger) {
            self.service = service
            self.address = address
            self.name = stream
            var logger = logger
            logger[metadataKey: "stream"] = "\(stream)"
            self.logger = logger
        }

        /// Starts to publish. Returns after the first attempt to connect; blocks until then.
        ///
        /// - Throws: what no later attempt can mend. A broker that cannot be reached is waited for.
        package func start() throws {
            service.onNotice { [state] type, data in
                state.update { state in
                    state.notices.append((type, data))
                    state.notices.removeFirst(max(0, state.notices.count - Self.maxWaitingNotices))
                }
            }
            let started = try NamedThread(name: "nats-publish") { [self] in run() }
            thread.withLock { $0 = started }
            let first = state.wait(atMost: Self.maxFirstAttempt) { $0.firstAttempt }
            if case .failure(let error) = first, !error.isTransient {
                stop()
                throw error
            }
        }

        /// Publishes what was committed, as long as it takes up to two seconds, and disconnects. Blocks meanwhile.
        package func stop() {
            state.update { $0.isEnding = true }
            thread.withLock { thread in
                defer { thread = nil }
                return thread
            }?.join()
        }

        // MARK: The thread

        private func run() {
            let follower = service.server.hub.follow { [state] in state.update { $0.hasChanged = true } }
            defer { follower.end() }
            waitForService()
            let start = service.server.hub.position
            _ = follower.begin(after: start)
            var progress = PublishingSession.Progress(stored: start, messages: 0)
            var backoff = Backoff(maxWait: Self.maxReconnectWait)
            var last: StreamError?
            while !isEnding {
                do throws(StreamError) {
                    let session = try PublishingSession(self.id, service, address, name, state, follower)
                    note(isConnected: true)
                    let message: Logger.Message = "publishing to the stream"
                    logger.log(level: last == nil ? .info : .notice, message, metadata: ["after": "\(session.start)"])
                    last = nil
                    backoff.reset()
                    state.update { $0.firstAttempt = $0.firstAttempt ?? .success(()) }
                    defer { session.close() }
                    try session.publish(flushWithin: Self.maxFlush) { new in
                        progress = new
                        report(new)
                    }
                    return
                } catch {
                    note(isConnected: false)
                    progress.messages = 0
                    report(progress)
                    state.update { $0.firstAttempt = $0.firstAttempt ?? .failure(error) }
                    // Once for each reason: an outage can last for days.
                    if last != error, !isEnding {
                        logger.error(
                            "the stream cannot be published; the clients of this server notice nothing",
                            metadata: ["reason": "\(error)"]
                        )
                    }
                    last = error
                    _ = state.wait(atMost: backoff.next(spread: .random(in: 0...1))) { $0.isEnding ? true : nil }
                }
            }
        }

        private var isEnding: Bool { state.withLock { $0.isEnding } }

        /// Whether the epoch of an earlier process goes on is known only after the file was read.
        private func waitForService() {
            while !service.hasBegun {
                if state.wait(atMost: .milliseconds(20), { $0.isEnding ? true : nil }) != nil { return }
            }
        }

        private func note(isConnected: Bool) {
            service.server.metrics.set("tablecast_nats_connected", to: isConnected ? 1 : 0)
        }

        private func report(_ progress: PublishingSession.Progress) {
            let head = service.server.hub.position
            let behind =
                head.epoch == progress.stored.epoch ? head.sequence - min(progress.stored.sequence, head.sequence) : 0
            service.server.metrics.set("tablecast_nats_unstored_transactions", to: Double(behind))
            service.server.metrics.natsPublished(messages: progress.messages)
        }
    }
#endif
