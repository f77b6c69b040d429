import Logging
import NIOCore
import NIOPosix
import Synchronization
package import TablecastClient
import WireProtocol

/// Keeps a relay connected to one of its sources: tries them in turn, with growing waits between two rounds, and changes to another
/// when the present one has been cut off from the database for some time.
struct SourceConnection: RelayUpstream {
    let sources: [TablecastClient]
    /// Whether to wait for a source that cannot be reached at the start.
    let waitsForSource: Bool
    let maxReconnectWait: Duration
    let logger: Logger

    /// The relay's own requests that may wait for the connection.
    private static let maxWaitingRequests = 256

    /// Runs until the task is cancelled, or no source can be used at the start, or the relay finds itself.
    ///
    /// - Throws: ``RelayFailure``.
    func run(id: String, receiver: any SourceReceiver) async throws(RelayFailure) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        // The connections on it have ended.
        defer { group.shutdownGracefully { _ in } }
        try await run(id: id, receiver: receiver, on: SourceThread(eventLoop: group.next()))
    }

    private func run(
        id: String,
        receiver: any SourceReceiver,
        on thread: isolated SourceThread
    ) async throws(RelayFailure) {
        let reader = SourceReader(SourceSession(id: id), receiver, on: thread.eventLoop)
        var backoff = Backoff(maxWait: maxReconnectWait)
        var next = 0
        var reported: [Int: RelayError] = [:]
        while !Task.isCancelled {
            var reasons: [RelayFailure.Reason] = []
            var wasInUse = false
            for index in (0..<sources.count).map({ (next + $0) % sources.count }) where !wasInUse {
                let error = await serve(index, reader, on: thread)
                if Task.isCancelled { return }
                reasons.append(RelayFailure.Reason(address: sources[index].address, error: error))
                wasInUse = receiver.disconnected(error)
                if wasInUse {
                    // The first to be tried again.
                    next = index
                    backoff.reset()
                    reported = [:]
                } else if reported[index] != error {
                    // Once for each reason: a source can be away for days.
                    reported[index] = error
                    let isWaiting = receiver.hasCaughtUp || waitsForSource && error.isTransient
                    logger.log(
                        level: isWaiting ? .warning : .debug,
                        "the source cannot be used",
                        metadata: ["source": "\(sources[index].address)", "reason": "\(error)"]
                    )
                }
            }
            if let other = reader.takeReplacement() {
                next = other
                continue
            }
            if reasons.allSatisfy({ $0.error == .loop }) { throw RelayFailure(reasons: reasons) }
            // At the start an error is probably one of the command line.
            let mayWait = waitsForSource && reasons.contains(where: \.error.isTransient)
            if !receiver.hasCaughtUp, !mayWait { throw RelayFailure(reasons: reasons) }
            // A cancelled task ends the loop.
            try? await Task.sleep(for: backoff.next(spread: .random(in: 0...1)))
        }
    }

    /// One connection, to its end.
    private func serve(
        _ index: Int,
        _ reader: SourceReader,
        on thread: isolated SourceThread
    ) async -> RelayError {
        let source = sources[index]
        let requests = RequestQueue(maxWaiting: Self.maxWaitingRequests)
        let others = (1..<sources.count).map { (index + $0) % sources.count }
        let maxAbsence = Self.maxAbsence(source)
        reader.begin(source, requests, maxAbsence: maxAbsence) { session in
            for other in others where await session.canContinue(at: sources[other], within: maxAbsence) { return other }
            return nil
        }
        defer {
            reader.end()
            requests.finish()
        }
        do throws(TablecastClientError) {
            var connecting = source.asRelay(reader.id)
            connecting.group = thread.eventLoop
            let target = NIOLoopBound(reader, eventLoop: thread.eventLoop)
            connecting.receive = { target.value.received($0) }
            let connection = try await connecting.connect()
            let sending = Task { await requests.send(over: connection) }
            defer { sending.cancel() }
            // Only their end: the reader has them.
            var messages = connection.messages.makeAsyncIterator()
            while try await messages.next(isolation: thread) != nil {}
            if let failure = reader.failure { return failure }
            return .connection(await connection.failure)
        } catch {
            return .connection(error)
        }
    }

    /// How long a source may be away from its own source: as long as it may be silent itself.
    private static func maxAbsence(_ source: TablecastClient) -> Duration { source.heartbeatInterval * 2 }
}

extension TablecastClient {
    fileprivate func asRelay(_ id: String) -> TablecastClient {
        var client = self
        client.headers.append((name: RelayFormat.header, value: id))
        return client
    }
}

extension SourceSession {
    /// Whether the source can be reached, and has the database or a connection to it.
    fileprivate func canContinue(at source: TablecastClient, within limit: Duration) async -> Bool {
        var session = self
        session.connected()
        do throws(TablecastClientError) {
            let connection = try await source.asRelay(id).connect()
            let ending = Task {
                // Cancelled as soon as the answer is known.
                guard (try? await Task.sleep(for: limit)) != nil else { return }
                await connection.close()
            }
            defer { ending.cancel() }
            var messages = connection.messages.makeAsyncIterator()
            while let message = try await messages.next() {
                for action in session.received(message.envelope) {
                    switch action {
                    case .send(let request): try await connection.send(request)
                    case .state(let state): return state.goneBecause == nil
                    case .stop: return false
                    default: break
                    }
                }
            }
        } catch {
            // Any failure has the same meaning here; the next connection reports it.
        }
        return false
    }
}

/// The thread that reads from the source, decodes and publishes: no client's event loop waits for a large transaction, and none
/// interrupts it between two of the event loops that it wakes.
private actor SourceThread {
    nonisolated let eventLoop: any EventLoop

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    nonisolated var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }
}

/// Where a relay receives the changes from: a server over a connection of its own, or a stream.
package protocol RelayUpstream: Sendable {
    /// Runs until the task is cancelled, or the source cannot be used.
    ///
    /// - Parameter id: of the relay.
    func run(id: String, receiver: any SourceReceiver) async throws(RelayFailure)
}

/// Performs what a ``SourceSession`` decides. Called by one task or thread.
package protocol SourceReceiver: AnyObject, Sendable {
    /// Whether the relay has been up to date at least once.
    var hasCaughtUp: Bool { get }

    /// `requests` are sent to the source until the connection ends.
    ///
    /// - Parameter source: where requests of clients are answered; nil for nowhere.
    func connected(to source: TablecastClient?, _ requests: RequestQueue)
    /// False for bytes that cannot be decoded.
    func perform(_ action: SourceSession.Action, database: String?) -> Bool
    /// The connection has ended, or could not be opened; returns whether it was in use.
    func disconnected(_ error: RelayError) -> Bool
}
