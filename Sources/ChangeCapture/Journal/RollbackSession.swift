import SQLiteConnection

/// Watches a database file with a rollback journal.
///
/// Such a file keeps no old pages that a reader could use after the commit: a small database is compared with a private
/// copy, and a larger one is only reported as changed. A file that grows past the limit loses its copy; a file that has
/// shrunk well below it begins a new session, with a copy. Every state that was seen is reported correctly; commits in
/// quick succession are seen as one. A file that changed without a commit was written by something other than SQLite,
/// which ends the session.
final class RollbackSession: WatchSession {
    private let watched: WatchedFile
    /// Holds the lock that keeps writers out while pages are read.
    private let reader: PinConnection

    /// The state that was reported last.
    private var state: FileState
    /// When the file that was last compared with the copy was written; nil when it may have been written since without
    /// a new modification time. A program other than SQLite writes without incrementing the counter in ``state``.
    private var comparedStamp: FileStamp?
    /// A journal that was already examined: no writer was active, and SQLite decided what to do with it.
    private var examinedJournal: FileStamp?
    private var shadow: (copy: ShadowCopy, capture: CommitCapture)?
    private let limit: ShadowLimit
    private var failedScans = 0
    private static let maxFailedScans = 3
    /// Another process holds the file exclusively, and a notice was sent.
    private var isLockedOut = false
    /// The schema of a file above the limit.
    private var schema = SchemaSnapshot()
    private let schemaConnection: Connection

    let breach: EpochReason?

    /// - Parameter earlier: the state of an earlier process. It continues when the file is unchanged: commits made meanwhile
    ///   cannot be distinguished.
    init(_ watched: WatchedFile, continuing earlier: CapturedState? = nil) throws(WatchError) {
        self.watched = watched
        let limits = watched.limits
        let limit = ShadowLimit(maxBytes: limits.maxShadowBytes)
        let reader: PinConnection
        let schemaConnection: Connection
        do throws(SQLiteError) {
            reader = try PinConnection(path: watched.path, limits: limits)
            schemaConnection = try EvaluationPolicy().openReader(path: watched.path)
            schemaConnection.setBusyTimeout(limits.busyTimeout)
            try Self.beginRead(schemaConnection)
        } catch {
            throw .sqlite(error)
        }
        // The lock keeps writers out until the copy is complete.
        defer { Self.endRead(schemaConnection) }
        self.reader = reader
        self.schemaConnection = schemaConnection
        self.limit = limit
        let opening = try WatchError.wrap { () throws(SQLiteError) in
            let state = try FileState(watched.file)
            let isSmall = !limit.isExceeded(by: state)
            return (
                state: state,
                schema: try SchemaSnapshot.load(from: schemaConnection),
                copy: isSmall ? try ShadowCopy(of: watched.file, header: state.header, pageCount: state.pageCount) : nil
            )
        }
        state = opening.state
        schema = opening.schema
        breach = earlier.flatMap { earlier in
            let stamp = FileStamp(path: watched.path)
            let found = stamp.flatMap { FileSeal(current: $0, watched.file) }
            if let found, found == earlier.seal { return nil }
            return ContinuityCheck.reason("with a rollback journal they are not kept, and the file was written")
        }
        if let copy = opening.copy {
            let capture = try CommitCapture(ShadowReader(copy: copy, changes: nil), limits: limits)
            shadow = (copy, capture)
        }
    }

    func opening(_ lastEnded: UInt64) -> CommitSpan? { span(to: state, lastEnded) }

    var tables: [TableDescription] { schema.visibleTables.map(\.description) }

    func close() {
        reader.close()
        schemaConnection.close()
        watched.file.close()
    }

    func run() throws(WatchError) -> SessionEnd {
        while true {
            if watched.delivery.isStopped { return .stopped }
            if let shadow {
                watched.delivery.runJobs(at: ShadowReader(copy: shadow.copy, changes: nil))
                watched.delivery.putBack(watched.delivery.takeReads().compactMap(grant))
            } else {
                watched.delivery.refuseJobs(.unreadablePosition(maxShadowBytes: watched.limits.maxShadowBytes))
            }
            if let end = try look() { return end }
            if watched.events.wait(atMost: watched.limits.idlePollInterval) { _ = watched.events.takeFilesChanged() }
        }
    }

    private static let maxReadAttempts = 1_000

    /// Begins a read for the request while the file has no new state; returns the request when it has, to be granted
    /// after the report. The read's lock keeps writers out from then on.
    private func grant(_ request: ReadRequest) -> ReadRequest? {
        do throws(SQLiteError) {
            let transaction = try ReadTransaction(path: watched.path)
            try transaction.prepare()
            try transaction.begin()
            if (try? readState()) == state {
                request.answer(.success(transaction))
                return nil
            }
            transaction.end()
        } catch {
            // Otherwise a writer is active, or it died and left a journal that this session rolls back next.
            guard error.code.primary == .busy || error.code == .readOnlyRollback else {
                request.answer(.failure(.sqlite(error)))
                return nil
            }
        }
        guard request.attempts < Self.maxReadAttempts else {
            request.answer(.failure(.tooBusy))
            return nil
        }
        var request = request
        request.attempts += 1
        return request
    }

    private func look() throws(WatchError) -> SessionEnd? {
        let lastEnded = watched.delivery.own.lastEnded
        let found = FileIdentity(path: watched.path)
        guard found == watched.identity else { return .broken(found == nil ? .removed : .replaced) }
        try rollBackAbandonedJournal()
        // This check takes no lock.
        let isNewState = try readState() != state
        guard let shadow else {
            if isNewState { return try reportUnknown(lastEnded) }
            watched.delivery.deliverLateCommits(upTo: span(to: state, lastEnded))
            return nil
        }
        guard isNewState || comparedStamp == nil || comparedStamp != FileStamp(path: watched.path) else {
            watched.delivery.deliverLateCommits(upTo: span(to: state, lastEnded))
            return nil
        }
        return try report(shadow.copy, shadow.capture, lastEnded)
    }

    /// The commits since the state that was reported last.
    ///
    /// - Parameter lastEnded: the last own commit that had ended before `now` was read.
    private func span(to now: FileState, _ lastEnded: UInt64) -> CommitSpan {
        CommitSpan(file: watched.identity, start: state.changeCounter, end: now.changeCounter, lastEnded: lastEnded)
    }

    /// A writer that died leaves a journal, and a read-only connection cannot read the file until it is rolled back.
    private func rollBackAbandonedJournal() throws(WatchError) {
        let journal = watched.file.abandonedJournal
        guard journal != examinedJournal else { return }
        examinedJournal = journal
        // The next reader rolls it back.
        if journal != nil, try lockPages() { reader.end() }
    }

    /// Reports the difference between the copy and the file.
    private func report(
        _ copy: ShadowCopy,
        _ capture: CommitCapture,
        _ lastEnded: UInt64
    ) throws(WatchError) -> SessionEnd? {
        guard let (now, changes, stamp) = try compare(with: copy) else { return nil }
        if let end = try breach(now) { return end }
        if limit.isExceeded(by: now) { return try outgrow(copy, lastEnded) }
        comparedStamp = stamp?.isRecent == false ? stamp : nil
        if now == state {
            guard changes.pages.isEmpty else { return .broken(.overwritten) }
            watched.delivery.deliverLateCommits(upTo: span(to: now, lastEnded))
            sealCompared()
            return nil
        }
        let after = ShadowReader(copy: copy, changes: changes)
        let changeSet = try capture.changes(
            pages: Array(changes.pages.keys),
            evidence: .differences,
            from: ShadowReader(copy: copy, changes: nil),
            to: after,
            level: watched.delivery.captureLevel
        )
        watched.delivery.deliverMerged(changeSet, of: span(to: now, lastEnded), at: after)
        copy.apply(changes)
        state = now
        sealCompared()
        return nil
    }

    /// Notifies the sink that the file has the reported state, once its time of modification is conclusive.
    private func sealCompared() {
        guard let stamp = comparedStamp, let sink = watched.delivery.continuity,
            let seal = FileSeal(stamp, watched.file), stamp == FileStamp(path: watched.path)
        else { return }
        sink.sealed(seal)
    }

    /// The pages that differ from the copy as of one commit; nil when a writer got in between: try again.
    ///
    /// The lock is held for one part of the file at a time, so that no writer waits for long; every part must be as of
    /// the same commit. Nothing may be read without the lock: the file can hold pages of a transaction that is rolled
    /// back later, with no sign of it. After a few failures the lock is held for all of it.
    ///
    /// - Returns: also the time of the last write.
    private func compare(with copy: ShadowCopy) throws(WatchError) -> (FileState, ShadowChanges, FileStamp?)? {
        var found: (now: FileState, changes: ShadowChanges)?
        var stamp: FileStamp?
        var isComplete = false
        while !isComplete {
            guard try lockPages() else { return nil }
            defer { reader.end() }
            if found == nil { stamp = FileStamp(path: watched.path) }
            let now = try readState()
            var changes = found?.changes ?? ShadowChanges(pageCount: now.pageCount)
            if let found {
                guard found.now == now else {
                    failedScans += 1
                    return nil
                }
            } else if now.isOfAnotherLayout(than: state) || limit.isExceeded(by: now) {
                // Nothing can or should be compared.
                return (now, changes, stamp)
            }
            let isPatient = failedScans < Self.maxFailedScans
            isComplete = try WatchError.wrap { () throws(SQLiteError) in
                try copy.compare(
                    with: watched.file,
                    into: &changes,
                    atMost: isPatient ? ShadowCopy.chunkByteCount : .max
                )
            }
            // Another writer than SQLite, or one that undid what it had written between two parts.
            guard stamp == FileStamp(path: watched.path) else {
                failedScans += 1
                return nil
            }
            found = (now, changes)
        }
        failedScans = 0
        return found.map { ($0.now, $0.changes, stamp) }
    }

    /// Releases the copy of a file that has become too large for one.
    private func outgrow(_ copy: ShadowCopy, _ lastEnded: UInt64) throws(WatchError) -> SessionEnd? {
        // The schema as of the last report: the one that was read at the start is out of date.
        schema = try WatchError.wrap { () throws(SQLiteError) in
            let cursor = try SnapshotCursor(ShadowReader(copy: copy, changes: nil))
            return try SchemaSnapshot.load(from: cursor.connection)
        }
        shadow = nil
        watched.delivery.send(
            .notice(
                """
                \(watched.path) has grown past \(limit.megabytes) MB: commits of other processes are reported without their rows \
                from now on. In WAL mode each row is reported; switch with: PRAGMA journal_mode=WAL
                """
            )
        )
        return try reportUnknown(lastEnded)
    }

    /// For a file above the limit: compares the schema, and reports that any row may have changed.
    private func reportUnknown(_ lastEnded: UInt64) throws(WatchError) -> SessionEnd? {
        guard let (now, next) = try readSchema() else { return nil }
        if let end = try breach(now) { return end }
        let changes = SchemaDiff.changes(from: schema, to: next, identities: SchemaIdentities(from: schema, to: next))
        schema = next
        let tables = next.visibleTables.map(\.description).filter { $0.kind != .view }
        let events = changes.map(ChangeEvent.schema) + tables.map { .rows(TableRows(changedTable: $0)) }
        watched.delivery.deliverUnknown(
            ChangeSet(origin: .external, events: events),
            of: span(to: now, lastEnded)
        )
        state = now
        return limit.allowsCopyAgain(of: now) ? .broken(.shrunk) : nil
    }

    /// The schema as of one commit; nil while a writer is active, or when it undid what it had begun.
    private func readSchema() throws(WatchError) -> (FileState, SchemaSnapshot)? {
        guard try lock({ () throws(SQLiteError) in try Self.beginRead(schemaConnection) }) else { return nil }
        defer { Self.endRead(schemaConnection) }
        let now = try readState()
        guard now != state else { return nil }
        return try WatchError.wrap { () throws(SQLiteError) in
            (now, try SchemaSnapshot.load(from: schemaConnection, reusing: schema))
        }
    }

    /// Whether the file has become one that this session cannot watch.
    private func breach(_ now: FileState) throws(WatchError) -> SessionEnd? {
        // SQLite keeps at least one page of a database that had any.
        if now.pageCount == 0, state.pageCount > 0 { return .broken(.overwritten) }
        if now.isWAL { return .broken(.journalMode("wal")) }
        if now.isOfAnotherLayout(than: state) {
            throw .undecodable("the database was rebuilt with another page size or encoding")
        }
        return nil
    }

    private func readState() throws(WatchError) -> FileState {
        try WatchError.wrap { () throws(SQLiteError) in try FileState(watched.file) }
    }

    /// Begins a read transaction on the connection that reads the schema, with the lock that keeps writers out.
    ///
    /// Under it no other connection may request a lock: while this process's own writer waits for the readers, SQLite
    /// refuses it, and both would wait until their time is over.
    private static func beginRead(_ connection: Connection) throws(SQLiteError) {
        try connection.execute("BEGIN")
        do { try connection.execute("PRAGMA schema_version") } catch {
            endRead(connection)
            throw error
        }
    }

    private static func endRead(_ connection: Connection) {
        // Fails only when the transaction has already ended.
        try? connection.execute("ROLLBACK")
    }

    private func lockPages() throws(WatchError) -> Bool {
        try lock { () throws(SQLiteError) in try reader.start() }
    }

    /// Begins a read with `start`; false while a writer is active.
    private func lock(_ start: () throws(SQLiteError) -> Void) throws(WatchError) -> Bool {
        do {
            try start()
            isLockedOut = false
            return true
        } catch {
            guard error.code.primary == .busy else { throw .sqlite(error) }
            // A writer is active: check again later.
            if !isLockedOut {
                isLockedOut = true
                let path = watched.path
                let patience = watched.limits.busyTimeout
                watched.delivery.send(
                    .notice(
                        "\(path) has been locked for more than \(patience): commits are reported when the lock is released"
                    )
                )
            }
            return false
        }
    }
}
