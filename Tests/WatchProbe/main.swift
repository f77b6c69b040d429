// A process that watches a database and measures the watcher.
//
//     WatchProbe DATABASE [seconds=60] [ledger=1]
//
// Prints `ready` when it watches. It ends at the transaction that inserts into a table `stop`, or after that number of
// seconds. Then prints for each transaction the monotonic time in nanoseconds at which it was reported, and figures of
// the process.

import ChangeCapture
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Notes when each transaction arrived.
final class Recorder: DatabaseEventSink {
    struct State {
        var times: [Int64] = []
        var rows = 0
        var notices: [String] = []
        var isStopped = false
    }

    let state = Mutex(State())

    func receive(_ event: DatabaseEvent) {
        let now = monotonicNanoseconds()
        state.withLock { state in
            guard case .transaction(let transaction) = event else {
                state.notices.append("\(event)")
                return
            }
            state.times.append(now)
            for case .rows(let rows) in transaction.changes.events {
                state.rows += rows.inserted + rows.updated + rows.deleted
                if rows.table.name == "stop" { state.isStopped = true }
            }
        }
    }
}

let arguments = CommandLine.arguments
guard arguments.count > 1 else {
    print("usage: WatchProbe DATABASE [seconds=60] [level=values]")
    exit(2)
}
var options: [String: String] = [:]
for argument in arguments.dropFirst(2) {
    let parts = argument.split(separator: "=", maxSplits: 1)
    options[String(parts[0])] = parts.count > 1 ? String(parts[1]) : ""
}

let recorder = Recorder()
var limits = WatcherLimits()
if let frames = options["force"] { limits.forcedRestartFrameCount = Int(frames) }
do {
    let begun = monotonicNanoseconds()
    let watcher = try DatabaseWatcher(path: arguments[1], sink: recorder, limits: limits)
    if options["level"] == "counts" { watcher.captureLevel = .counts }
    try watcher.start()
    print("ready \(Double(monotonicNanoseconds() - begun) / 1e6) ms")
    fflush(nil)
    let deadline = monotonicNanoseconds() + Int64(options["seconds"] ?? "60", radix: 10)! * 1_000_000_000
    while monotonicNanoseconds() < deadline, !recorder.state.withLock({ $0.isStopped }) { usleep(20_000) }
    watcher.stop()
} catch {
    print("\(error)")
    exit(1)
}
var usage = rusage()
#if canImport(Glibc)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
#else
    getrusage(RUSAGE_SELF, &usage)
#endif
let cpu =
    Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3
    + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3
recorder.state.withLock { state in
    for time in state.times { print(time) }
    for notice in state.notices { print("# \(notice)") }
    print("# transactions \(state.times.count) rows \(state.rows) cpu \(cpu) ms rss \(usage.ru_maxrss) KB")
}
