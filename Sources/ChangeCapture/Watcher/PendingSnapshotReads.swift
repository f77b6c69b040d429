import SQLiteConnection

/// Requested read transactions; each waits until the commit that it sees was delivered.
///
/// While writers are active, the log is always ahead of what was delivered. So a transaction begins at once, whatever
/// it sees, and the watcher reaches that commit later.
struct PendingSnapshotReads {
    private struct Read {
        let request: ReadRequest
        let transaction: ReadTransaction
        var attempts = 0
        /// What the transaction sees; nil until it is known.
        var header: WALIndexHeader?
    }

    /// Attempts before the watcher continues with the next commit.
    private static let attemptsAtOnce = 20
    /// About a second of attempts.
    private static let maxAttempts = 20_000

    private var waiting: [Read] = []

    var isEmpty: Bool { waiting.isEmpty }

    /// Begins a read transaction; the request is answered when ``delivered(salt:lastFrame:)`` has reached its state.
    mutating func add(_ request: ReadRequest, path: String) {
        do throws(SQLiteError) {
            waiting.append(Read(request: request, transaction: try ReadTransaction(path: path)))
        } catch {
            request.answer(.failure(.sqlite(error)))
        }
    }

    /// Begins the transactions that have not begun.
    mutating func begin(header: () -> WALIndexHeader?) {
        if waiting.allSatisfy({ $0.header != nil }) { return }
        waiting = waiting.compactMap { read in
            guard read.header == nil else { return read }
            var read = read
            do throws(WatchError) {
                try Self.begin(&read, header)
                return read
            } catch {
                read.transaction.end()
                read.request.answer(.failure(error))
                return nil
            }
        }
    }

    /// A writer without pauses can commit while a transaction begins; only between two equal headers is the
    /// transaction's state known.
    private static func begin(_ read: inout Read, _ header: () -> WALIndexHeader?) throws(WatchError) {
        for _ in 0..<attemptsAtOnce {
            let isBegun = try WatchError.wrap { () throws(SQLiteError) in
                try read.transaction.prepare()
                let before = header()
                try read.transaction.begin()
                guard let after = header(), before == after else { return false }
                read.header = after
                return true
            }
            if isBegun { return }
        }
        read.attempts += attemptsAtOnce
        if read.attempts >= maxAttempts { throw .tooBusy }
    }

    /// Call when every commit up to this frame of this generation of the log was delivered, and none after it.
    mutating func delivered(salt: WALSalt, lastFrame: UInt32) {
        guard !waiting.isEmpty else { return }
        waiting.removeAll { read in
            guard let header = read.header, header.salt == salt, header.maxFrame == lastFrame else { return false }
            read.request.answer(.success(read.transaction))
            return true
        }
    }

    /// Ends the transactions whose commits will not be delivered; returns the requests for another session.
    mutating func abandon() -> [ReadRequest] {
        defer { waiting = [] }
        for read in waiting { read.transaction.end() }
        return waiting.map(\.request)
    }
}
