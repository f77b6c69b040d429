import ChangeCapture
import SQLiteConnection
import StateStore
import Synchronization
import WireProtocol

/// Keeps the epoch, the published transactions and the captured state on disk, so that a later process can continue.
///
/// A transaction is recorded before it is published: a client can never know of one that the state does not, unless power was
/// lost, and then the incarnation of its position ends before it. Thread-safe; transactions come from one thread at a time.
final class StateKeeper: Sendable {
    /// Transactions whose record would be larger are recorded without their rows.
    static let maxRecordBytes = 32 << 20
    /// How often what was recorded is made durable.
    static let syncInterval = Duration.seconds(1)

    private struct Kept: Sendable {
        var state: KeptState
        var encoder = ChangeSetEncoder()
        var hasFailed = false

        /// True only for the first failure.
        mutating func fails() -> Bool {
            defer { hasFailed = true }
            return !hasFailed
        }
    }

    private let log: RecordLog
    /// The database.
    private let path: String
    private let kept: Mutex<Kept>
    private let stopped = Monitor(false)
    private let syncing = Mutex<NamedThread?>(nil)
    /// Called once, when nothing can be recorded any more.
    private let onFailure: Mutex<(@Sendable (StateError) -> Void)?>

    /// What an earlier process left, to be continued or not.
    struct Earlier: Sendable {
        var state: KeptState
        /// The newest transactions, the oldest first, without a gap up to the last one.
        var transactions: [StoredTransaction]
    }

    /// Opens the state of the database at `path`.
    ///
    /// - Returns: the keeper; what an earlier process left, nil when there is nothing that can be used; and problems to report.
    static func open(
        _ directory: StateDirectory,
        of path: String,
        limits: RecordLogLimits
    ) throws(StateError) -> (keeper: StateKeeper, earlier: Earlier?, problems: [String]) {
        var (log, recovered) = try RecordLog.open(directory, limits: limits)
        var earlier: Earlier?
        if !recovered.records.isEmpty {
            do throws(ByteReader.Malformed) {
                earlier = try Earlier(recovered.records, maxTransactions: limits.maxRestoredTransactions)
            } catch {
                recovered.problems.append("\(directory.path) has records that this version cannot read")
            }
        }
        let state =
            earlier?.state
            ?? KeptState(
                lineage: EpochLineage(),
                sequence: 0,
                captured: CapturedState(boot: BootIdentity.current, file: FileIdentity(path: path)),
                level: .counts
            )
        return (StateKeeper(log, path, state), earlier, recovered.problems)
    }

    private init(_ log: RecordLog, _ path: String, _ state: KeptState) {
        self.log = log
        self.path = path
        kept = Mutex(Kept(state: state))
        onFailure = Mutex(nil)
    }

    deinit {
        stopped.update { $0 = true }
        syncing.withLock { $0 }?.detach()
    }

    /// Starts to make records durable at intervals, and to remove those that are too old.
    func start(onFailure: @escaping @Sendable (StateError) -> Void) throws(WatchError) {
        self.onFailure.withLock { $0 = onFailure }
        let thread = try WatchError.startThread("state") { [weak self, stopped] in
            while stopped.wait(atMost: Self.syncInterval, { $0 ? true : nil }) == nil { self?.sync() }
        }
        syncing.withLock { $0 = thread }
    }

    /// Makes everything durable, and lets another process use the directory. A second call does nothing.
    func stop() {
        stopped.update { $0 = true }
        let thread = syncing.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
        sync()
        kept.withLock { $0.hasFailed = true }
        log.directory.unlock()
    }

    private func sync() {
        if log.isOutdated(at: UnixTime.milliseconds) { update { $0.state.record } }
        guard !kept.withLock({ $0.hasFailed }) else { return }
        do throws(StateError) {
            try log.sync()
            try log.removeOldest(now: UnixTime.milliseconds)
        } catch {
            if kept.withLock({ $0.fails() }) { report(error) }
        }
    }

    private func report(_ error: StateError) { onFailure.withLock { $0 }?(error) }

    /// Changes the state, and appends the record that says so: under one lock, so that records are in the order of changes. After a
    /// failure nothing is appended.
    private func update(isFollowed: Bool = false, _ change: (inout Kept) -> StateRecord?) {
        let failure = kept.withLock { kept -> StateError? in
            let before = kept.state
            guard let record = change(&kept), !kept.hasFailed else { return nil }
            do throws(StateError) {
                try log.append(record, isFollowed: isFollowed) { before.record }
                return nil
            } catch {
                return kept.fails() ? error : nil
            }
        }
        if let failure { report(failure) }
    }

    // MARK: Epochs

    /// Begins an incarnation of the epoch of an earlier process.
    ///
    /// - Returns: the position of the last transaction, and the last sequences of the earlier incarnations.
    func resume() -> (head: Position, earlier: [String: UInt64]) {
        update { kept in
            kept.state.lineage.begin(after: kept.state.sequence)
            kept.state.captured.boot = BootIdentity.current
            kept.state.captured.file = FileIdentity(path: path)
            return kept.state.record
        }
        let state = kept.withLock { $0.state }
        return (Position(epoch: state.lineage.epoch, sequence: state.sequence), state.lineage.earlier)
    }

    /// Begins an epoch, and removes what is known of others.
    ///
    /// - Returns: the position before its first transaction.
    func beginEpoch() -> Position {
        let (start, failure) = kept.withLock { kept -> (Position, StateError?) in
            kept.state = KeptState(
                lineage: EpochLineage(),
                sequence: 0,
                captured: CapturedState(boot: BootIdentity.current, file: FileIdentity(path: path)),
                level: kept.state.level
            )
            let start = Position(epoch: kept.state.lineage.epoch, sequence: 0)
            guard !kept.hasFailed else { return (start, nil) }
            do throws(StateError) {
                try log.restart(prologue: kept.state.record)
                return (start, nil)
            } catch {
                return (start, kept.fails() ? error : nil)
            }
        }
        if let failure { report(failure) }
        return start
    }

    // MARK: Records

    /// Records a transaction; its position is the next one.
    ///
    /// - Parameter isFollowed: whether it may be written together with later ones: then ``flush()`` must follow before it is
    ///   published.
    func record(_ transaction: TransactionMessages, _ mark: LogMark?, isFollowed: Bool = false) {
        // Like `update`, without a copy of the state: this is the path of every commit.
        let failure = kept.withLock { kept -> StateError? in
            let failure = kept.hasFailed ? nil : append(transaction, mark, isFollowed: isFollowed, &kept)
            kept.state.sequence = transaction.position.sequence
            kept.state.captured.reach(mark)
            return failure
        }
        if let failure { report(failure) }
    }

    private func append(
        _ transaction: TransactionMessages,
        _ mark: LogMark?,
        isFollowed: Bool,
        _ kept: inout Kept
    ) -> StateError? {
        kept.encoder.encode(transaction, mark)
        defer { kept.encoder.end() }
        let record = StateRecord(
            .transaction,
            sequence: transaction.position.sequence,
            timestamp: transaction.timestamp,
            payload: kept.encoder.writer.bytes[...]
        )
        do throws(StateError) {
            try log.append(record, isFollowed: isFollowed) { kept.state.record }
            return nil
        } catch {
            return kept.fails() ? error : nil
        }
    }

    /// Writes the transactions that were recorded as followed.
    func flush() {
        let failure = kept.withLock { kept -> StateError? in
            guard !kept.hasFailed else { return nil }
            do throws(StateError) {
                try log.flush()
                return nil
            } catch {
                return kept.fails() ? error : nil
            }
        }
        if let failure { report(failure) }
    }

    func reached(_ mark: LogMark) {
        update { kept in
            guard kept.state.captured.log != mark else { return nil }
            kept.state.captured.reach(mark)
            var writer = ByteWriter()
            writer.append(mark)
            return kept.state.record(.mark, writer)
        }
    }

    func sealed(_ seal: FileSeal) {
        update { kept in
            guard kept.state.captured.seal != seal else { return nil }
            kept.state.captured.seal = seal
            var writer = ByteWriter()
            writer.append(seal)
            return kept.state.record(.seal, writer)
        }
    }

    /// The detail of rows that the next process begins with: clients that resume expect it.
    func captured(atLeast level: CaptureLevel) {
        update { kept in
            guard level > kept.state.level else { return nil }
            kept.state.level = level
            return kept.state.record
        }
    }

    /// The transactions after `sequence`, up to `maxBytes`; nil when they are not kept any more.
    func transactions(after sequence: UInt64, maxBytes: Int) -> [StoredTransaction]? {
        log.transactions(after: sequence, maxBytes: maxBytes)?.map(StoredTransaction.init)
    }

    /// The epoch of positions now.
    var epoch: String { kept.withLock { $0.state.lineage.epoch } }

    /// The positions with which transactions were published.
    var published: PublishedPositions { kept.withLock { PublishedPositions($0.state.lineage) } }

    /// The last transaction before the oldest that is kept; nil when none can be read.
    var base: UInt64? { log.base }

    var byteCount: Int { log.byteCount }

    var statistics: RecordLog.Statistics? { log.statistics }
}

extension KeptState {
    /// The record that says all of it.
    fileprivate var record: StateRecord {
        StateRecord(.epoch, sequence: sequence, timestamp: UnixTime.milliseconds, payload: payload[...])
    }

    fileprivate func record(_ kind: StateRecord.Kind, _ writer: ByteWriter) -> StateRecord {
        StateRecord(kind, sequence: sequence, timestamp: UnixTime.milliseconds, payload: writer.bytes[...])
    }
}

extension StateKeeper.Earlier {
    /// - Throws: when one of the records that say the state does not say what its kind requires. Transactions are decoded when they
    ///   are needed.
    fileprivate init(_ records: [StateRecord], maxTransactions: Int) throws(ByteReader.Malformed) {
        // A record of kind `epoch` says everything, a transaction or a mark everything about the log; only a seal adds to what is
        // said before it. Another epoch cannot follow: its beginning removes the records before it.
        guard let epoch = records.last(where: { $0.kind == .epoch }),
            let start = records.lastIndex(where: { $0.kind != .seal })
        else { throw ByteReader.Malformed() }
        state = try KeptState(epoch)
        for record in records[start...] { try state.apply(record) }
        var newest: [StoredTransaction] = []
        var sequence = state.sequence
        for record in records.reversed() where record.kind == .transaction {
            guard record.sequence == sequence, newest.count < maxTransactions else { break }
            newest.append(StoredTransaction(record: record))
            sequence &-= 1
        }
        transactions = newest.reversed()
    }
}

/// A transaction as it was recorded.
struct StoredTransaction: Sendable {
    let record: StateRecord

    struct Content: Sendable {
        var changes: ChangeSet
        var userID: String?
        var username: String?
        var queryID: String?
    }

    /// - Throws: when the bytes are not those of a transaction.
    func content() throws(ByteReader.Malformed) -> Content {
        var reader = ByteReader(record.payload)
        _ = try reader.logMark()
        let (userID, username) = (try reader.optionalString(), try reader.optionalString())
        let queryID = try reader.optionalString()
        let changes = try reader.changeSet()
        guard reader.isAtEnd else { throw ByteReader.Malformed() }
        return Content(changes: changes, userID: userID, username: username, queryID: queryID)
    }
}

extension ChangeSetEncoder {
    /// Until ``end()`` the bytes are those of the record of a transaction.
    fileprivate mutating func encode(_ transaction: TransactionMessages, _ mark: LogMark?) {
        // The memory of its rows is an upper bound for all but the smallest.
        let isAppended = append(transaction, mark, reserving: min(transaction.byteCount, StateKeeper.maxRecordBytes))
        if !isAppended { append(transaction, mark, withRows: false) }
    }

    @discardableResult
    private mutating func append(
        _ transaction: TransactionMessages,
        _ mark: LogMark?,
        withRows: Bool = true,
        reserving byteCount: Int = 0
    ) -> Bool {
        begin(reserving: byteCount)
        withWriter { writer in
            writer.append(mark)
            writer.append(transaction.context.userID)
            writer.append(transaction.context.username)
            writer.append(transaction.context.queryID)
        }
        return append(
            transaction.changes,
            withRows: withRows,
            maxBytes: withRows ? StateKeeper.maxRecordBytes : .max
        )
    }
}
