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

/// Gives freed memory back to the system: glibc's allocator keeps what a storm of clients or a large query has freed in the
/// arenas of the threads, and the process would stay as large as it ever was.
struct HeapTrimming: Service {
    /// Between two looks.
    static let interval = Duration.seconds(10)

    func run() async throws {
        var policy = TrimPolicy()
        while await Self.sleep() {
            guard let before = Self.privateBytes(), policy.wantsTrim(bytes: before) else { continue }
            // It holds the locks of the arenas, for milliseconds: no task of others should wait behind it.
            try await NIOThreadPool.singleton.runIfActive { _ = heap_trim() }
            policy.trimmed(from: before, to: Self.privateBytes() ?? before)
        }
    }

    /// False when the service stops.
    private static func sleep() async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                // Cancelled by the other one.
                (try? await Task.sleep(for: interval)) != nil
            }
            group.addTask {
                // Cancellation ends the service just as well.
                try? await gracefulShutdown()
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    /// What the process alone has in memory; nil where the system does not say.
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

/// Decides when it is worth asking the allocator for what it keeps. A value without a clock: one question for each look.
struct TrimPolicy {
    /// Growth since the last time that makes it worth a try.
    static let minGrowthBytes = 16 << 20
    /// Looks to wait after a try that gained little, at most.
    static let maxWait = 64

    /// The least that was seen.
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

    /// Memory in use is not gained: the next try then waits twice as long.
    mutating func trimmed(from before: Int, to after: Int) {
        wait = 0
        looksToWait = before - after >= Self.minGrowthBytes / 2 ? 1 : min(looksToWait * 2, Self.maxWait)
    }
}
