import Broadcast
import ChangeCapture
import NIOCore
import SQLiteConnection
import Synchronization
import WireProtocol

/// Sends a client the rows of its tables as of one position, followed by every later change. The messages of the
/// client's other subscriptions continue meanwhile.
///
/// A read transaction begins at exactly the position of the last published transaction, so writers continue; their
/// commits meanwhile wait in the history. The next rows are read when the client has taken the previous ones.
final class SnapshotSender: Sendable {
    private static let threadCount = 2

    private let hub: Hub
    private let publisher: ChangePublisher
    private let limits: SnapshotLimits
    private let running = Atomic<Int>(0)
    /// Each snapshot is read on one of them.
    private let executors: [SQLExecutor<Void>]
    private let lastExecutor = Atomic<Int>(0)

    init(hub: Hub, publisher: ChangePublisher, limits: SnapshotLimits) throws(SQLiteError) {
        self.hub = hub
        self.publisher = publisher
        self.limits = limits
        var executors: [SQLExecutor<Void>] = []
        for index in 0..<Self.threadCount {
            executors.append(try SQLExecutor(name: "snapshot-\(index)", startsWhenNeeded: true) {})
        }
        self.executors = executors
    }

    /// Ends the threads after the messages that they are reading; snapshots under way fail.
    func stop() { for executor in executors { executor.stop() } }

    /// Starts a snapshot; the client receives its outcome as messages.
    func send(
        _ request: SubscribeRequest,
        replyTo: String?,
        to client: ClientID,
        from watcher: DatabaseWatcher
    ) throws(ProtocolError) {
        guard running.add(1, ordering: .relaxed).newValue <= limits.maxConcurrent else {
            running.subtract(1, ordering: .relaxed)
            throw ProtocolError(.tooManyQueries, "\(limits.maxConcurrent) snapshots are being sent already; try again")
        }
        let hold: Hub.SnapshotHold
        do throws(ProtocolError) {
            hold = try hub.hold(client, TableSubscription(request.filter), replacing: request.replaces)
        } catch {
            running.subtract(1, ordering: .relaxed)
            throw error
        }
        Task {
            defer { running.subtract(1, ordering: .relaxed) }
            do {
                try await run(replyTo: replyTo, hold, watcher)
            } catch {
                fail(error, replyTo: replyTo, hold)
            }
        }
    }

    private func run(replyTo: String?, _ hold: Hub.SnapshotHold, _ watcher: DatabaseWatcher) async throws {
        guard hub.isHeld(hold) else { throw Self.replaced }
        let deadline = ContinuousClock.now + limits.maxDuration
        let executor = executors[lastExecutor.wrappingAdd(1, ordering: .relaxed).newValue % executors.count]
        let (publisher, limits) = (publisher, limits)
        let (transaction, position) = try await watcher.beginRead { publisher.lastPosition }
        let rows = try await executor.run { _ in
            try SnapshotRows(transaction, of: hold.subscription, position: position, limits: limits)
        }
        let payload = SubscribedPayload(
            channel: .tables,
            subscription: hold.subscription.id,
            position: position,
            tables: rows.tableNames
        )
        let acknowledgement = EncodedMessage.subscribed(payload, replyTo: replyTo)
        guard await send(acknowledgement, under: hold, isAcknowledgement: true) else { throw Self.replaced }
        while let message = try await executor.run({ _ in try rows.next() }) {
            guard await send(message, under: hold) else { return }
            if ContinuousClock.now > deadline {
                throw ProtocolError(
                    .tooBig,
                    "the snapshot took longer than \(limits.maxDuration); read faster or ask for fewer tables"
                )
            }
        }
        transaction.end()
        hub.release(hold, rows.end, after: position)
    }

    /// False when the client has disconnected or does not need the snapshot any more.
    private func send(
        _ message: EncodedMessage,
        under hold: Hub.SnapshotHold,
        isAcknowledgement: Bool = false
    ) async -> Bool {
        await withCheckedContinuation { continuation in
            hub.send(message, under: hold, isAcknowledgement: isAcknowledgement) { continuation.resume(returning: $0) }
        }
    }

    /// Answers a request that was not acknowledged, or not completed.
    private func fail(_ error: any Error, replyTo: String?, _ hold: Hub.SnapshotHold) {
        let header = EnvelopeHeader(.error, channel: .notifications, replyTo: replyTo)
        let reason = (error as? ProtocolError)?.message ?? "\(error)"
        let payload = ErrorPayload(message: "the snapshot failed: \(reason)", code: ErrorCode(of: error))
        hub.send(EncodedMessage(header, payload), to: hold.client)
        hub.abandon(hold, replyTo: replyTo)
    }

    private static let replaced = ProtocolError(
        .interrupted,
        "the subscription was ended, or replaced by another one, before it began"
    )
}

/// Bytes of rows that were sent to one client and that it has not taken yet, over all of its queries. Thread-safe.
final class RowBackpressure: Sendable {
    /// Beyond it all of its queries wait. Each can add its current batch, and the total is far below the limit at which
    /// a connection is closed as too slow.
    static let maxBytes = 512 << 10

    private struct State {
        var bytes = 0
        /// The outputs of running queries.
        var outputs: [ObjectIdentifier: ClientQueryOutput] = [:]
    }

    private let state = Mutex(State())

    var isBelowLimit: Bool { state.withLock { $0.bytes < Self.maxBytes } }

    func add(_ output: ClientQueryOutput) { state.withLock { $0.outputs[ObjectIdentifier(output)] = output } }
    func remove(_ output: ClientQueryOutput) { state.withLock { $0.outputs[ObjectIdentifier(output)] = nil } }

    func sent(byteCount: Int) { state.withLock { $0.bytes += byteCount } }

    /// The client took the bytes or has disconnected: waiting queries continue once there is room, whichever of them
    /// sent the rows.
    func taken(byteCount: Int) {
        let waiting = state.withLock { state in
            let wasFull = state.bytes >= Self.maxBytes
            state.bytes -= byteCount
            return wasFull && state.bytes < Self.maxBytes ? Array(state.outputs.values) : []
        }
        for output in waiting { output.resume() }
    }
}
