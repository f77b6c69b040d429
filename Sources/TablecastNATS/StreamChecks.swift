#if NATS
    import Synchronization
    import TablecastRelay
    import WireProtocol

    /// The request of a relay to know whether it has received everything, while one connection to the broker lasts: answered when it has
    /// read what the source had published when it was asked. The source is asked again while it does not answer. Thread-safe.
    final class StreamChecks: Sendable {
        /// How often the source is asked, while it does not answer, or the edge does not reach what it answered.
        private static let askInterval = Duration.seconds(1)

        let requests = RequestQueue(maxWaiting: 256)
        private let state = Mutex(State())

        private struct State {
            /// A relay sends one request at a time.
            var id: String?
            /// The last transaction of the source at that time.
            var target: Position?
            var lastAsked: ContinuousClock.Instant?
        }

        init() {
            // Ends with the queue.
            Task { [self] in
                for await request in requests.waiting {
                    if let id = request.id { state.withLock { $0 = State(id: id) } }
                }
            }
        }

        /// The id of the request that can be answered now.
        ///
        /// - Parameter position: asks the source for its last transaction; nil without an answer.
        func answered(
            by session: StreamSession,
            _ position: () throws(StreamError) -> Position?
        ) throws(StreamError) -> String? {
            let found = state.withLock { $0 }
            guard let id = found.id else { return nil }
            var target = found.target
            if target.map({ !session.hasReached($0) }) ?? true {
                if let last = found.lastAsked, ContinuousClock.now - last < Self.askInterval { return nil }
                // Again: a new epoch may have begun since the last answer.
                let new = try position()
                if target == nil || target?.epoch != new?.epoch { target = new }
            }
            let isReached = target.map(session.hasReached) ?? false
            return state.withLock { state in
                // Another request has come meanwhile, which needs another answer.
                guard state.id == id else { return nil }
                state = isReached ? State() : State(id: id, target: target, lastAsked: .now)
                return isReached ? id : nil
            }
        }
    }
#endif
