#if NATS
    package import Logging
    package import NATSConnection
    import SQLiteConnection
    import Synchronization
    package import TablecastClient
    package import TablecastRelay
    import WireProtocol

    /// Receives the changes of a source from a stream, on a thread of its own.
    package final class StreamUpstream: RelayUpstream {
        private static let maxReconnectWait = Duration.seconds(5)

        private let address: NATSAddress
        private let name: StreamName
        /// Answers requests of clients; nil for none.
        private let server: TablecastClient?
        private let waitsForSource: Bool
        private let logger: Logger
        private let ending = Monitor(Ending())

        private struct Ending: Sendable {
            var isEnding = false
            var connection: NATSConnection?
            var failure: StreamError?
        }

        /// Why ``run(id:receiver:)`` ended.
        package var failure: StreamError? { ending.withLock { $0.failure } }

        package init(
            _ address: NATSAddress,
            stream: StreamName,
            server: TablecastClient?,
            waitsForSource: Bool,
            logger: Logger
        ) {
            self.address = address
            name = stream
            self.server = server
            self.waitsForSource = waitsForSource
            var logger = logger
            logger[metadataKey: "stream"] = "\(stream)"
            self.logger = logger
        }

        package func run(id: String, receiver: any SourceReceiver) async throws(RelayFailure) {
            let failure: RelayFailure? = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    do throws(NamedThread.StartError) {
                        try NamedThread(name: "nats-receive") { [self] in
                            continuation.resume(returning: receive(id, receiver))
                        }.detach()
                    } catch {
                        let error = RelayError.stream("the system refuses to start another thread", isTransient: true)
                        continuation.resume(returning: self.failure(error))
                    }
                }
            } onCancel: {
                ending.update { ending in
                    ending.isEnding = true
                    return ending.connection
                }?.close()
            }
            if let failure { throw failure }
        }

        private func failure(_ error: RelayError) -> RelayFailure {
            RelayFailure(reasons: [RelayFailure.Reason(address: address.description, error: error)])
        }

        private var isEnding: Bool { ending.withLock { $0.isEnding } }

        // MARK: The thread

        /// Returns nil when the task is cancelled.
        private func receive(_ id: String, _ receiver: any SourceReceiver) -> RelayFailure? {
            var session = StreamSession()
            var cursor = StreamCursor()
            var backoff = Backoff(maxWait: Self.maxReconnectWait)
            var last: StreamError?
            while !isEnding {
                let error: StreamError
                do throws(StreamError) {
                    let reader = try StreamReader(address, name, receiver, server: server, relay: id)
                    ending.update { $0.connection = reader.connection }
                    defer { reader.close() }
                    try reader.read(&session, &cursor) { self.isEnding }
                    continue
                } catch let failure {
                    error = failure
                }
                if isEnding { return nil }
                session.disconnected()
                let reason = RelayError.stream("\(error)", isTransient: error.isTransient)
                if receiver.disconnected(reason) {
                    backoff.reset()
                    last = nil
                }
                // At the start an error is probably one of the command line.
                guard receiver.hasCaughtUp || waitsForSource && error.isTransient else {
                    ending.update { $0.failure = error }
                    return failure(reason)
                }
                // Once for each reason: an outage can last for days.
                if last != error { logger.warning("the stream cannot be used", metadata: ["reason": "\(error)"]) }
                last = error
                _ = ending.wait(atMost: backoff.next(spread: .random(in: 0...1))) { $0.isEnding ? true : nil }
            }
            return nil
        }
    }
#endif
