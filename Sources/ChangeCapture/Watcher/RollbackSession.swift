import SQLiteConnection

/// Follows a database file with a rollback journal.
///
/// Such a file keeps no old images that a reader could look at after the commit, so a small database is compared with a
/// private copy, and of a larger one is said only that it changed. What is reported is right at each moment that was seen;
/// commits that follow one another quickly are seen as one.
final class RollbackSession: WatchSession {
    private let path: String
    private let limits: WatcherLimits
    private let delivery: CommitDelivery
    private let events: FileEvents
    private let identity: FileIdentity
    private let file: DatabaseFile
    /// Holds the lock that keeps writers out while pages are read.
    private let reader: PinConnection

    /// As of what was reported last.
    private var state: FileState
    private var shadow: (copy: ShadowCopy, capture: CommitCapture)?
    private var failedScans = 0
    private static let maxFailedScans = 3
    /// For a file above the limit.
    private var schema = SchemaSnapshot()
    private let schemaConnection: Connection

    init(
        path: String,
        file: DatabaseFile,
        identity: FileIdentity,
        events: FileEvents,
        delivery: CommitDelivery,
        limits: WatcherLimits
    ) throws(WatchError) {
        self.path = path
        self.file = file
        self.identity = identity
        self.events = events
        self.delivery = delivery
        self.limits = limits
        let reader: PinConnection
        let schemaConnection: Connection
        do throws(SQLiteError) {
            reader = try PinConnection(path: path, limits: limits)
            schemaConnection = try Connection(path: path, mode: .readOnly)
            schemaConnection.setBusyTimeout(limits.busyTimeout)
            try reader.start()
        } catch {
            throw .sqlite(error)
        }
        // The lock keeps writers out until the copy is complete.
        defer { reader.end() }
        self.reader = reader
        self.schemaConnection = schemaConnection
        let opening = try WatchError.wrap { () throws(SQLiteError) in
            let state = try FileState(file)
            let isSmall = try file.byteCount() <= Int64(limits.maxShadowBytes)
            return (
                state: state,
                schema: try SchemaSnapshot.load(from: schemaConnection),
                copy: isSmall ? try ShadowCopy(of: file, header: state.header, pageCount: state.pageCount) : nil
            )
        }
        state = opening.state
        schema = opening.schema
        if let copy = opening.copy {
            let capture = try CommitCapture(ShadowReader(copy: copy, changes: nil), limits: limits)
            shadow = (copy, capture)
        }
    }

    func close() {
        reader.close()
        schemaConnection.close()
        file.close()
    }

    func run() throws(WatchError) -> SessionEnd {
        while true {
            if delivery.isStopped { return .stopped }
            if let shadow {
                delivery.runJobs(at: ShadowReader(copy: shadow.copy, changes: nil)) { (try? readState()) == state }
            } else {
                delivery.refuseJobs(.unreadablePosition(maxShadowBytes: limits.maxShadowBytes))
            }
            if let end = try look() { return end }
            if events.wait(atMost: limits.idlePollInterval) { _ = events.takeFilesChanged() }
        }
    }

    private func look() throws(WatchError) -> SessionEnd? {
        let found = FileIdentity(path: path)
        guard found == identity else { return found == nil ? .fileGone : .fileReplaced }
        // Looking costs no lock.
        guard try readState() != state else {
            delivery.deliverLateCommits { true }
            return nil
        }
        guard let shadow else { return try reportUnknown() }
        return try report(shadow.copy, shadow.capture)
    }

    /// Reports the difference between the copy and the file.
    private func report(_ copy: ShadowCopy, _ capture: CommitCapture) throws(WatchError) -> SessionEnd? {
        // Most of the reading is done without a lock; under it only what seems to differ is read again. A commit in between
        // makes that worthless, and after a few tries the lock is held for all of it.
        guard try lock() else { return nil }
        // Read under the lock: a commit under way writes page 1 before the others, and a scan in the midst of it would find
        // the state that it leaves but not all of its pages.
        let complete = Result { () throws(WatchError) in try readState() }
        reader.end()
        let expected = try complete.get()
        let scanned = failedScans < Self.maxFailedScans ? try scan(copy, pageCount: expected.pageCount) : nil
        guard try lock() else { return nil }
        let locked = Result { () throws(WatchError) in
            let now = try readState()
            if scanned != nil, now != expected { return nil as (FileState, ShadowChanges)? }
            let candidates = if let scanned { scanned } else { try scan(copy, pageCount: now.pageCount) }
            return try WatchError.wrap { () throws(SQLiteError) in
                (now, try copy.changes(candidates, in: file, pageCount: now.pageCount))
            }
        }
        reader.end()
        guard let (now, changes) = try locked.get() else {
            failedScans += 1
            return nil
        }
        failedScans = 0
        if let end = try breach(now) { return end }
        let after = ShadowReader(copy: copy, changes: changes)
        let changeSet = try capture.changes(
            pages: Array(changes.pages.keys),
            from: ShadowReader(copy: copy, changes: nil),
            to: after,
            level: delivery.captureLevel
        )
        delivery.deliverMerged(changeSet, commits: now.changeCounter &- state.changeCounter, at: after) {
            (try? readState()) == now
        }
        copy.apply(changes)
        state = now
        return nil
    }

    /// Of a file above the limit: the schema is compared, and of rows is said that any may have changed.
    private func reportUnknown() throws(WatchError) -> SessionEnd? {
        guard try lock() else { return nil }
        reader.end()
        let now = try readState()
        if let end = try breach(now) { return end }
        let next = try WatchError.wrap { () throws(SQLiteError) in
            try SchemaSnapshot.load(from: schemaConnection, reusing: schema)
        }
        let changes = SchemaDiff.changes(from: schema, to: next)
        schema = next
        let tables = next.visibleTables.map(\.description).filter { $0.kind == .table }
        let events = changes.map { ChangeEvent.schema($0) } + tables.map { ChangeEvent.rows(TableRows(unknown: $0)) }
        delivery.deliverUnknown(
            ChangeSet(origin: .external, events: events),
            commits: now.changeCounter &- state.changeCounter
        ) {
            (try? readState()) == now
        }
        state = now
        return nil
    }

    /// Whether the file has become one that this session cannot follow.
    private func breach(_ now: FileState) throws(WatchError) -> SessionEnd? {
        if now.isWAL { return .journalModeChanged("wal") }
        guard now.header.pageSize == state.header.pageSize, now.header.usableSize == state.header.usableSize,
            now.header.encoding == state.header.encoding
        else { throw .undecodable("the database was rebuilt with another page size or encoding") }
        return nil
    }

    /// The pages that differ from the copy.
    private func scan(_ copy: ShadowCopy, pageCount: UInt32) throws(WatchError) -> [UInt32] {
        try WatchError.wrap { () throws(SQLiteError) in try copy.candidates(in: file, pageCount: pageCount) }
    }

    private func readState() throws(WatchError) -> FileState {
        try WatchError.wrap { () throws(SQLiteError) in try FileState(file) }
    }

    private func lock() throws(WatchError) -> Bool {
        do {
            try reader.start()
            return true
        } catch {
            // A writer is at work: look again later.
            if error.code.primary == .busy { return false }
            throw .sqlite(error)
        }
    }
}

/// What of a file's first page tells that it changed.
private struct FileState: Equatable {
    var header: DatabaseHeader
    /// Goes up by one with each commit, unless somebody used the file exclusively for several.
    var changeCounter: UInt32
    var isWAL: Bool
    var pageCount: UInt32

    init(_ file: DatabaseFile) throws(SQLiteError) {
        self = try withUnsafeTemporaryAllocation(byteCount: DatabaseHeader.byteCount, alignment: 8) { buffer in
            Result { () throws(SQLiteError) in
                try file.read(into: buffer, at: 0)
                let bytes = UnsafeRawBufferPointer(buffer)
                // Nothing was ever written, or page 1 is still to come in a first commit that is under way.
                guard bytes.contains(where: { $0 != 0 }) else { return .empty }
                return try Self(bytes, file)
            }
        }.get()
    }

    /// A file without a byte is a database without a page.
    private static let empty = FileState(header: .empty, changeCounter: 0, isWAL: false, pageCount: 0)

    private init(header: DatabaseHeader, changeCounter: UInt32, isWAL: Bool, pageCount: UInt32) {
        self.header = header
        self.changeCounter = changeCounter
        self.isWAL = isWAL
        self.pageCount = pageCount
    }

    private init(_ bytes: UnsafeRawBufferPointer, _ file: DatabaseFile) throws(SQLiteError) {
        do { header = try DatabaseHeader(bytes) } catch {
            throw SQLiteError(code: .notADatabase, message: "\(error)")
        }
        changeCounter = bytes.bigEndian32(at: 24)
        // The version that a reader must understand.
        isWAL = bytes[19] == 2
        let inFile = UInt32(clamping: try file.byteCount() / Int64(header.pageSize))
        pageCount = header.pageCount > 0 ? min(header.pageCount, inFile) : inFile
    }
}

extension TableRows {
    /// Something may have changed in the table, and nothing more is known.
    fileprivate init(unknown table: TableDescription) {
        self.init(
            table: table,
            inserted: 0,
            updated: 0,
            deleted: 0,
            countsAreKnown: false,
            detail: .counts,
            rows: [],
            rowsOmitted: true
        )
    }
}
