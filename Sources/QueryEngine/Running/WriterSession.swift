import ChangeCapture
import SQLiteConnection

/// The writer's connection, with its capture where it needs one: how transactions begin and end, so that every commit is
/// recorded and reported, once and in order.
///
/// Belongs to the writer's thread.
final class WriterSession {
    let guarded: GuardedConnection
    /// Nil when the commit sink reads the changes of a commit from the log: then no hook costs the writer time.
    ///
    /// This holds for the life of the session: while this connection is open, no process can take the database out of
    /// WAL mode.
    let capture: HookCapture?
    /// Whether SAVEPOINT began the open transaction, so that a RELEASE can commit it.
    var isBegunBySavepoint = false
    private let commitSink: (any CommitSink)?
    private let backlog: WriterBacklog
    private let log = LogState()
    /// The log that commits are written to; nil without one.
    private let logFiles: LogFiles?

    /// The reports of the WAL hook since the last check.
    private final class LogState {
        /// The frame count after the last commit; nil when there was none since the last report.
        var committedFrames: Int?
        var growth = LogGrowth()
        /// Where the commit is in a file with a rollback journal, according to the commit hook.
        var place: CommitPlace?
        /// The state before a `VACUUM`, which calls no commit hook.
        var placeBeforeVacuum: CommitPlace?
        /// The commit hook was called, and the result has not been reported yet.
        var isCommitting = false
    }

    /// The authorizer is created before the capture.
    private final class Relay {
        weak var capture: HookCapture?
    }

    init(
        _ configuration: ServiceConfiguration,
        commitSink: (any CommitSink)?,
        backlog: WriterBacklog,
        fileCheck: FileCheck
    ) throws(SQLiteError) {
        let relay = Relay()
        guarded = try GuardedConnection(configuration, access: .writer) { relay.capture?.observe($0) ?? false }
        self.commitSink = commitSink
        self.backlog = backlog
        let connection = guarded.connection
        let mode = try guarded.authorizer.unguarded { () throws(SQLiteError) in
            try connection.query("PRAGMA journal_mode").first?.first
        }
        if mode == .text("wal"), commitSink?.readsLog == true {
            capture = nil
            // The sink syncs the log, once for many commits. The log's header and checkpoints are still synced by SQLite.
            try guarded.authorizer.unguarded { () throws(SQLiteError) in
                try connection.execute("PRAGMA synchronous = NORMAL")
            }
        } else {
            capture = try HookCapture(
                connection,
                level: commitSink?.captureLevel ?? .counts,
                limits: configuration.captureLimits
            )
        }
        relay.capture = capture
        let logFiles = mode == .text("wal") ? connection.logFiles : nil
        self.logFiles = logFiles
        guarded.reusesStatements = capture == nil
        let readsLog = capture == nil
        guarded.connection.setCommitHook { [log, unowned connection] in
            // The last point at which a commit to a file that no longer has its name can be prevented.
            guard fileCheck.isInPlace(connection), Self.isLogInPlace(logFiles, connection) else { return .rollback }
            guard let commitSink else { return .commit }
            if !readsLog { log.place = connection.placeOfCommit }
            log.isCommitting = true
            commitSink.willCommit()
            return .commit
        }
        guarded.connection.setWALHook { [log] database, frames in
            guard database == "main" else { return }
            log.committedFrames = frames
            log.growth.committed(frameCount: frames)
        }
    }

    var isInTransaction: Bool { !guarded.connection.isInAutocommit }

    // MARK: Transactions

    /// Begins the service's own transaction around a statement or a script; may wait for another process's lock.
    func begin(_ run: QueryRun) throws(SQLiteError) {
        try guarded.executeOwn("BEGIN IMMEDIATE")
    }

    func commit(_ run: QueryRun) throws(QueryStop) {
        do {
            try prepareToCommit(run)
            try guarded.executeUnguarded("COMMIT")
        } catch {
            if error is SQLiteError { settle() }
            throw guarded.explain(error, run.query, statementIndex: run.statementIndex)
        }
        committed(run)
    }

    /// The last point at which a cancel takes effect.
    func prepareToCommit(_ run: QueryRun) throws {
        run.isCommitting = true
        defer { run.isCommitting = false }
        try capture?.transactionWillCommit()
        if let reason = run.query.detach() { throw QueryStop.cancelled(reason) }
    }

    /// Reports a commit that became durable.
    func committed(_ run: QueryRun) {
        let changes = capture?.transactionDidCommit() ?? ChangeSet(origin: .service, events: [])
        let frames = log.committedFrames
        log.committedFrames = nil
        let place = takePlace()
        // A commit that undid its own changes has a place among the others too.
        guard frames != nil || place != nil || !changes.isEmpty, let commitSink else {
            settle()
            return
        }
        log.isCommitting = false
        let request = run.query.request
        run.receipt = commitSink.committed(
            ServiceCommit(
                changes: changes,
                walFrameCount: frames,
                place: place,
                queryId: request.queryId,
                client: run.query.client,
                userId: request.userId,
                username: request.username,
                isFollowed: backlog.promise()
            )
        )
    }

    private func takePlace() -> CommitPlace? {
        defer { (log.place, log.placeBeforeVacuum) = (nil, nil) }
        guard let before = log.placeBeforeVacuum else { return log.place }
        return guarded.connection.placeOfVacuum(since: before)
    }

    /// Reports that a commit that had begun did not happen.
    func settle() {
        (log.place, log.placeBeforeVacuum) = (nil, nil)
        guard log.isCommitting else { return }
        log.isCommitting = false
        commitSink?.didNotCommit()
    }

    /// `VACUUM` commits without calling the hook; a watcher must still know whose commit it is.
    func vacuumWillRun() throws {
        guard guarded.connection.isFileInPlace else { throw QueryFailure.fileMoved }
        guard Self.isLogInPlace(logFiles, guarded.connection) else { throw QueryFailure.logLost }
        guard let commitSink, !isInTransaction else { return }
        if capture != nil { log.placeBeforeVacuum = guarded.connection.placeOfLastCommit }
        log.isCommitting = true
        commitSink.willCommit()
    }

    /// Whether the connection writes the log that has the name: what is committed to another one is lost.
    private static func isLogInPlace(_ logFiles: LogFiles?, _ connection: Connection) -> Bool {
        guard let logFiles else { return true }
        if !logFiles.areInPlace { connection.loseLog() }
        return !connection.isLogLost
    }

    func rollBack() {
        guard isInTransaction else { return }
        // Fails only when the transaction has already ended.
        try? guarded.executeUnguarded("ROLLBACK")
        settle()
        capture?.transactionDidRollBack()
    }

    // MARK: Savepoint around a script within a client's transaction

    private static let savepoint = "\"tablecast script\""

    func beginSavepoint() throws(SQLiteError) { try guarded.executeUnguarded("SAVEPOINT \(Self.savepoint)") }
    func releaseSavepoint() throws(SQLiteError) { try guarded.executeUnguarded("RELEASE \(Self.savepoint)") }

    func rollBackToSavepoint() {
        guard isInTransaction else { return }
        try? guarded.executeUnguarded("ROLLBACK TO \(Self.savepoint)")
        try? guarded.executeUnguarded("RELEASE \(Self.savepoint)")
        capture?.statementDidRun(failed: true)
    }

    // MARK: Log

    /// Copies the log's frames into the database once enough were added; never waits for other connections.
    ///
    /// - Parameter threshold: the number of frames between two attempts.
    func checkpoint(everyFrames threshold: Int?) {
        guard let threshold, log.growth.takeAttempt(everyFrames: threshold) else { return }
        // While the database is locked, the log grows by another threshold before the next attempt.
        _ = try? guarded.connection.checkpoint(.passive)
    }
}

extension QueryFailure {
    static let fileMoved = QueryFailure(
        .databaseGone,
        """
        the path names another file than the one that was opened, or none: nothing was committed; run it again, and it runs in \
        the file that has the name then
        """
    )

    static let logLost = QueryFailure(
        .databaseGone,
        """
        another program deleted or damaged the -wal or the -shm file while it was in use: nothing was committed; run it again \
        when the database has been opened again
        """
    )
}
