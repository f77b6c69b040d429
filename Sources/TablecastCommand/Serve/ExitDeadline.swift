import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Ends the process a fixed time after it was told to stop, whatever still runs: a function of SQLite's that nothing
/// interrupts must not keep a supervisor waiting. What is open then is rolled back by the process that opens the file next.
enum ExitDeadline {
    /// Everything that stops in an orderly way has stopped well before.
    static let limit = Duration.milliseconds(4_500)

    /// Starts to count, on a thread of its own: no other has to be free.
    static func start() {
        let thread = Thread {
            Thread.sleep(forTimeInterval: limit / .seconds(1))
            Terminal.error.note("stopped while something was still running; it is rolled back")
            _exit(EXIT_SUCCESS)
        }
        thread.start()
    }
}
