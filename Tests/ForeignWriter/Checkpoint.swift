import RandomSupport
import SQLiteConnection

/// Transactions, each followed by a checkpoint that waits for readers. Prints the duration of the checkpoint in
/// milliseconds.
func checkpoint(_ options: Options) throws(SQLiteError) {
    let connection = try Connection(path: options.database, mode: .readWrite)
    connection.setBusyTimeout(.seconds(30))
    try connection.execute("PRAGMA synchronous=OFF; CREATE TABLE IF NOT EXISTS t(a)")
    var random = SeededGenerator(seed: options.seed)
    let modes: [Connection.CheckpointMode] = [.full, .restart, .truncate]
    for number in 0..<options.transactions {
        try connection.execute("INSERT INTO t VALUES(\(number))")
        let start = monotonicNanoseconds()
        try connection.checkpoint(random.pick(modes))
        say(String((monotonicNanoseconds() - start) / 1_000_000))
    }
}
