import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Wakes a thread that waits in `poll`, from any other thread: a pipe in which one byte is enough.
final class WakeSignal: Sendable {
    /// Readable after ``signal()`` until ``clear()``.
    let descriptor: Int32
    private let writeEnd: Int32
    /// The byte is in the pipe, or will be at once: until it is taken, no other is needed.
    private let isSignalled = Atomic(false)

    init() throws(WatchError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system(operation: "pipe", code: errno) }
        descriptor = ends[0]
        writeEnd = ends[1]
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(descriptor)
        close(writeEnd)
    }

    func signal() {
        if isSignalled.exchange(true, ordering: .acquiringAndReleasing) { return }
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    /// Call it before the check of what was signalled.
    ///
    /// - Parameter isReadable: whether `poll` found the descriptor readable. A signal that comes meanwhile can leave its byte for the
    ///   next poll, which does no harm.
    func clear(isReadable: Bool) {
        guard isReadable || isSignalled.load(ordering: .relaxed) else { return }
        var bytes: UInt64 = 0
        _ = read(descriptor, &bytes, MemoryLayout.size(ofValue: bytes))
        _ = isSignalled.exchange(false, ordering: .acquiringAndReleasing)
    }
}

/// Sleeps for a short time that cannot be interrupted.
package func nap(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    nanosleep(&time, nil)
}

extension Duration {
    /// Whole milliseconds for `poll`, rounded up so that a wait never becomes a busy loop.
    var pollMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
