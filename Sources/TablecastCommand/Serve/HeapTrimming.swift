import CHeap
import NIOPosix
import ServiceLifecycle

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Returns freed memory to the system: glibc's allocator keeps memory that a burst of clients or a large query has
/// freed in the arenas of the threads, and the process would stay at its peak size.
struct HeapTrimming: Service {
    /// The interval between two checks.
    static let interval = Duration.seconds(10)

    func run() async throws {
        var policy = TrimPolicy()
        while await Self.sleep() {
            guard let before = Self.privateBytes(), policy.wantsTrim(bytes: before) else { continue }
            // It holds the locks of the arenas for milliseconds: it must not block other tasks.
            try await NIOThreadPool.singleton.runIfActive { _ = heap_trim() }
            policy.trimmed(from: before, to: Self.privateBytes() ?? before)
        }
    }

    /// False when the service stops.
    private static func sleep() async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                // Cancelled by the other task.
                (try? await Task.sleep(for: interval)) != nil
            }
            group.addTask {
                // Cancellation ends the service as well.
                try? await gracefulShutdown()
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    /// The private memory of the process; nil when the system does not report it.
    private static func privateBytes() -> Int? {
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 128)
        let count = read(file, &text, text.count)
        guard count > 0 else { return nil }
        let fields = String(decoding: text[..<count], as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        guard fields.count > 2 else { return nil }
        return (fields[1] - fields[2]) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}

/// Decides when to make the allocator return memory. A value without a clock: one call for each check.
struct TrimPolicy {
    /// The growth since the last trim that justifies another one.
    static let minGrowthBytes = 16 << 20
    /// The maximum number of checks to wait after a trim that gained little.
    static let maxWait = 64

    /// The smallest size seen.
    private var base: Int?
    private var wait = 0
    private var looksToWait = 1

    /// Whether to trim now.
    mutating func wantsTrim(bytes: Int) -> Bool {
        guard let base else {
            base = bytes
            return false
        }
        if bytes < base { self.base = bytes }
        guard bytes - base >= Self.minGrowthBytes else { return false }
        wait += 1
        return wait >= looksToWait
    }

    /// A trim cannot release memory in use: after such a trim the wait is doubled.
    mutating func trimmed(from before: Int, to after: Int) {
        wait = 0
        looksToWait = before - after >= Self.minGrowthBytes / 2 ? 1 : min(looksToWait * 2, Self.maxWait)
    }
}
