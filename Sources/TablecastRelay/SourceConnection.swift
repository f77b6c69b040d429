import Logging
import NIOCore
import NIOPosix
import Synchronization
package import TablecastClient
import WireProtocol

/// Keeps a relay connected to one of its sources: tries them in turn, with growing waits between two rounds.
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
        var session = SourceSession(id: id)
        var backoff = Backoff(maxWait: maxReconnectWait)
        var next = 0
        var reported: [Int: RelayError] = [:]
        while !Task.isCancelled {
            var reasons: [RelayFailure.Reason] = []
            var wasInUse = false
            for index in (0..<sources.count).map({ (next + $0) % sources.count }) where !wasInUse {
                let error = await serve(sources[index], &session, receiver, on: thread)
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
        _ source: TablecastClient,
        _ session: inout SourceSession,
        _ receiver: any SourceReceiver,
        on thread: isolated SourceThread
    ) async -> RelayError {
        do throws(TablecastClientError) {
            var connecting = source
            connecting.headers.append((name: RelayFormat.header, value: session.id))
            connecting.group = thread.eventLoop
            let connection = try await connecting.connect()
            let requests = RequestQueue(maxWaiting: Self.maxWaitingRequests)
            let sending = Task { await requests.send(over: connection) }
            defer {
                requests.finish()
                sending.cancel()
            }
            receiver.connected(to: source, requests)
            session.connected()
            var messages = connection.messages.makeAsyncIterator()
            while let message = try await messages.next(isolation: thread) {
                for action in session.received(message.envelope) {
                    switch action {
                    case .send(let request): try await connection.send(request)
                    case .stop(let error): return error
                    default:
                        guard receiver.perform(action, database: session.database) else { return .protocolViolation }
                    }
                }
            }
            return .connection(await connection.failure)
        } catch {
            return .connection(error)
        }
    }
}

/// The thread that reads from the source, decodes and publishes: no client's event loop waits for a large transaction, and none
/// interrupts it between two of the event loops that it wakes. (NIO's sequence of messages still resumes on the cooperative pool.)
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
