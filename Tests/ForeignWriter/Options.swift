/// The options of the command line: `ForeignWriter DATABASE key=value …`.
struct Options {
    var database: String
    private var values: [String: String] = [:]

    init?(_ arguments: [String]) {
        guard arguments.count > 1 else { return nil }
        database = arguments[1]
        for argument in arguments.dropFirst(2) {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return nil }
            values[String(parts[0])] = String(parts[1])
        }
    }

    func int(_ key: String, _ standard: Int) -> Int { values[key].flatMap { Int($0) } ?? standard }
    func string(_ key: String, _ standard: String) -> String { values[key] ?? standard }

    /// `create`, `random` or `pace`.
    var mode: String { string("mode", "random") }
    var seed: UInt64 { UInt64(int("seed", 1)) }
    var writer: Int { int("writer", 0) }
    var transactions: Int { int("transactions", 100) }
    var synchronous: String { string("synchronous", "OFF") }
    var busyTimeoutMilliseconds: Int { int("busy", 30_000) }
    /// The number of pages after which the writer checkpoints itself.
    var autocheckpoint: Int { int("autocheckpoint", 200) }
    /// Pages of cache; 0 is SQLite's default. Few of them make a transaction spill into the log before it commits.
    var cachePages: Int { int("cache", 0) }
    /// In thousandths of the transactions.
    var checkpointRate: Int { int("checkpoints", 30) }
    var vacuumRate: Int { int("vacuum", 4) }
    var incrementalVacuumRate: Int { int("incremental", 0) }
    /// Kill the process within the transaction after this one; 0 for never.
    var killAfter: Int { int("kill", 0) }
    /// End the process this long after its start, below a second, like `kill -9`; 0 for never.
    var dieAfterMicroseconds: Int { int("die", 0) }
    /// The rollback-journal mode of this connection.
    var journal: String? { values["journal"] }
    var changesSchema: Bool { int("ddl", 1) != 0 }
}
