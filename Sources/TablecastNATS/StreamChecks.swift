#if NATS
    import Synchronization
    import TablecastRelay
    import WireProtocol

    /// The requests of a relay to know whether it has received everything, while one connection to the broker lasts: answered when it has
    /// read what was in the stream when they came. Thread-safe.
    final class StreamChecks: Sendable {
        private static let maxWaiting = 256

        let requests = RequestQueue(maxWaiting: maxWaiting)
        private let state = Mutex(State())

        private struct State {
            var new: [String] = []
            /// With the last message of the stream at that time.
            var waiting: [(id: String, last: UInt64)] = []
        }

        init() {
            // Ends with the queue.
            Task { [self] in
                for await request in requests.waiting {
                    if let id = request.id { state.withLock { $0.new.append(id) } }
                }
            }
        }

        /// - Parameter last: the last message of the stream.
        func take(_ last: () throws(StreamError) -> UInt64) throws(StreamError) {
            let ids = state.withLock { state in
                defer { state.new = [] }
                return state.new
            }
            guard !ids.isEmpty else { return }
            let last = try last()
            state.withLock { $0.waiting += ids.map { ($0, last) } }
        }

        /// The ids of the requests that are answered when the stream was read up to here.
        func answered(through sequence: UInt64) -> [String] {
            state.withLock { state in
                let ended = state.waiting.prefix { $0.last <= sequence }
                state.waiting.removeFirst(ended.count)
                return ended.map(\.id)
            }
        }
    }
#endif
