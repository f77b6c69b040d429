import SQLiteConnection

/// Read transactions that were begun for others, each until the commit that it sees was delivered.
///
/// While writers go on, the log is always ahead of what was delivered. So a transaction is begun at once, whatever it sees,
/// and the watcher comes to that commit later.
struct AwaitedReads {
    private struct Read {
        let request: ReadRequest
        let transaction: ReadTransaction
        /// What the transaction sees.
        let header: WALIndexHeader
    }

    /// A writer without pauses can commit while a transaction begins; only between two equal headers is it known what it
    /// sees.
    private static let maxAttempts = 100

    private var waiting: [Read] = []

    /// Begins to read for somebody, who is answered when ``delivered(salt:lastFrame:)`` has come that far.
    mutating func begin(_ request: ReadRequest, path: String, header: () -> WALIndexHeader?) {
        do throws(SQLiteError) {
            let transaction = try ReadTransaction(path: path)
            for _ in 0..<Self.maxAttempts {
                let before = header()
                try transaction.begin()
                guard let after = header(), before == after else { continue }
                return waiting.append(Read(request: request, transaction: transaction, header: after))
            }
            transaction.end()
            request.answer(.failure(.tooBusy))
        } catch {
            request.answer(.failure(.sqlite(error)))
        }
    }

    /// Every commit up to this frame of this generation of the log was delivered, and none after it.
    mutating func delivered(salt: WALSalt, lastFrame: UInt32) {
        guard !waiting.isEmpty else { return }
        waiting.removeAll { read in
            guard read.header.salt == salt, read.header.maxFrame == lastFrame else { return false }
            read.request.answer(.success(read.transaction))
            return true
        }
    }

    /// Ends the transactions whose commits will not be delivered; the requests are for another session.
    mutating func abandon() -> [ReadRequest] {
        defer { waiting = [] }
        for read in waiting { read.transaction.end() }
        return waiting.map(\.request)
    }
}
