import RandomSupport
import SQLiteConnection

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Small transactions at a steady rate. Prints for each the monotonic time in nanoseconds at which `COMMIT` returned,
/// and at the end the number of SQLITE_BUSY results.
func pace(_ options: Options) throws(SQLiteError) {
    let connection = try Connection(path: options.database, mode: .readWrite)
    connection.setBusyTimeout(.milliseconds(options.int("busy", 10_000)))
    try connection.execute(
        """
        PRAGMA synchronous=\(options.synchronous); PRAGMA wal_autocheckpoint=\(options.int("autocheckpoint", 1_000));
        CREATE TABLE IF NOT EXISTS paced(id INTEGER PRIMARY KEY, name TEXT, val REAL, n INT, note TEXT);
        """
    )
    let isUpdate = options.string("kind", "insert") == "update"
    var begin = try connection.prepare("BEGIN IMMEDIATE", persistent: true)
    var commit = try connection.prepare("COMMIT", persistent: true)
    var change = try connection.prepare(
        isUpdate
            ? "UPDATE paced SET val=?2, n=?3 WHERE id=?1"
            : "INSERT INTO paced(name,val,n,note) VALUES(?4,?2,?3,'a note of about forty characters, fixed..')",
        persistent: true
    )
    guard case .integer(let rows)? = try connection.query("SELECT ifnull(max(id),0) FROM paced").first?.first else {
        return
    }
    var random = SeededGenerator(seed: options.seed)
    let interval = options.int("interval", 0)
    let rowsPerTransaction = options.int("rows", 1)
    var times: [Int64] = []
    times.reserveCapacity(options.transactions)
    var busy = 0
    let start = monotonicNanoseconds()
    for number in 0..<options.transactions {
        if interval > 0 {
            // Between 0.5 and 1.5 times the interval, like independent clients.
            let pause = interval / 2 + random.int(0...interval)
            var time = timespec(tv_sec: pause / 1_000_000, tv_nsec: pause % 1_000_000 * 1_000)
            nanosleep(&time, nil)
        }
        while true {
            do {
                _ = try begin.step()
                break
            } catch {
                guard error.code.primary == .busy else { throw error }
                busy += 1
            }
        }
        for row in 0..<rowsPerTransaction {
            if isUpdate { try change.bind(.integer(Int64(random.int(1...Int(max(1, rows))))), at: 1) }
            try change.bind(.real(Double(random.next() % 1_000_000)), at: 2)
            try change.bind(.integer(Int64(row)), at: 3)
            if !isUpdate { try change.bind(.text("name \(row) of transaction \(number)"), at: 4) }
            _ = try change.step()
            change.reset()
        }
        _ = try commit.step()
        times.append(monotonicNanoseconds())
    }
    let elapsed = Double(monotonicNanoseconds() - start) / 1e9
    say(times.map(String.init).joined(separator: "\n"))
    complain("rate \(Int(Double(options.transactions) / elapsed)) busy \(busy)")
}

func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
