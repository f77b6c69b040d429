import RandomSupport
import SQLiteConnection

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Random transactions, one after the other. Each committed one has added a row to `ledger`, and its number is printed
/// once `COMMIT` has returned.
struct Workload {
    let options: Options
    let connection: Connection
    var operations: Operations

    init(_ options: Options) throws(SQLiteError) {
        self.options = options
        connection = try Connection(
            path: options.database,
            mode: .readWrite,
            isURI: options.database.hasPrefix("file:")
        )
        connection.setBusyTimeout(.milliseconds(options.busyTimeoutMilliseconds))
        var random = SeededGenerator(seed: options.seed)
        let secureDelete = random.pick(["OFF", "OFF", "ON", "FAST"])
        try connection.execute(
            """
            PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON; PRAGMA synchronous=\(options.synchronous);
            PRAGMA wal_autocheckpoint=\(options.autocheckpoint); PRAGMA secure_delete=\(secureDelete);
            """
        )
        // Each connection chooses its kind of rollback journal; only WAL mode is recorded in the file.
        if let journal = options.journal { try connection.execute("PRAGMA journal_mode=\(journal)") }
        if options.cachePages > 0 { try connection.execute("PRAGMA cache_size=\(options.cachePages)") }
        let pageSize = try connection.query("PRAGMA page_size").first?.first
        guard case .integer(let pageSize)? = pageSize else { throw SQLiteError(code: .error, message: "no page size") }
        operations = Operations(connection: connection, values: Values(random: random, pageSize: Int(pageSize)))
    }

    mutating func run() throws(SQLiteError) {
        // The signal ends the process anywhere, including during a commit or a rollback.
        if options.dieAfterMicroseconds > 0 { _ = ualarm(UInt32(options.dieAfterMicroseconds), 0) }
        var sequence = 0
        while sequence < options.transactions {
            do {
                guard try transaction(sequence + 1) else { continue }
                sequence += 1
                say(String(sequence))
                if sequence == options.killAfter { try dieInMidTransaction() }
            } catch {
                if !connection.isInAutocommit { try connection.execute("ROLLBACK") }
                guard error.code.primary == .busy else { throw error }
                complain("\(options.writer): BUSY \(error.message)")
            }
            maintain()
        }
    }

    /// Whether it was committed.
    private mutating func transaction(_ sequence: Int) throws(SQLiteError) -> Bool {
        try connection.execute("BEGIN IMMEDIATE")
        for _ in 0..<operations.values.random.pick([1, 1, 1, 2, 3, 10]) {
            let hasSavepoint = operations.values.random.chance(25)
            if hasSavepoint { try connection.execute("SAVEPOINT s") }
            do {
                if options.changesSchema, operations.values.random.chance(5) {
                    try operations.changeSchema(writer: options.writer)
                } else {
                    try operations.runOne()
                }
            } catch {
                // Errors of constraints and of names that another writer used are expected, as in any application.
                guard [.constraint, .error, .mismatch].contains(error.code.primary) else { throw error }
                if connection.isInAutocommit { return false }
                if hasSavepoint { try connection.execute("ROLLBACK TO s") }
            }
            if hasSavepoint {
                if operations.values.random.chance(30) { try connection.execute("ROLLBACK TO s") }
                try connection.execute("RELEASE s")
            }
        }
        if operations.values.random.chance(5) {
            try connection.execute("ROLLBACK")
            return false
        }
        try operations.run(
            "INSERT INTO ledger(writer, seq) VALUES(?,?)",
            .integer(Int64(options.writer)),
            .integer(Int64(sequence))
        )
        if operations.values.random.chance(2) {
            try operations.run(
                "DELETE FROM ledger WHERE writer=? AND seq<?",
                .integer(Int64(options.writer)),
                .integer(Int64(sequence - 5))
            )
        }
        try connection.execute("COMMIT")
        return true
    }

    private mutating func maintain() {
        func chance(_ perMille: Int) -> Bool { operations.values.random.below(1_000) < perMille }
        do {
            if chance(options.checkpointRate) {
                let modes: [Connection.CheckpointMode] = [.passive, .passive, .full, .restart, .truncate]
                try connection.checkpoint(operations.values.random.pick(modes))
            }
            if chance(options.vacuumRate) { try connection.execute("VACUUM") }
            if chance(options.incrementalVacuumRate) {
                try connection.execute("PRAGMA incremental_vacuum(\(operations.values.random.int(1...30)))")
            }
        } catch {
            complain("\(options.writer): MAINTENANCE \(error.message)")
        }
    }

    /// Leaves frames without a commit in the log, like a crash.
    private func dieInMidTransaction() throws(SQLiteError) {
        try connection.execute("BEGIN IMMEDIATE; PRAGMA cache_size=5")
        try connection.execute("UPDATE t_small SET n=n+1; UPDATE t_ipk SET data=zeroblob(500)")
        kill(getpid(), SIGKILL)
    }
}
