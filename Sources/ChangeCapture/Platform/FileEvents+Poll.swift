#if !os(Linux) && canImport(Darwin)
    import Darwin

    /// For systems without inotify: wakes at a short interval. kqueue would need a descriptor on the database file, and
    /// closing that would drop SQLite's locks.
    final class FileEvents {
        private static let milliseconds: Int32 = 2
        private let wake: WakeSignal

        init(databasePath: String, wake: WakeSignal) { self.wake = wake }

        /// Waits for the wake signal or for a short time; true when a check is worthwhile.
        func wait(atMost timeout: Duration) -> Bool {
            var request = pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, Self.milliseconds) > 0 else { return false }
            wake.clear(isReadable: true)
            return true
        }

        /// Not known here: the watcher checks at intervals.
        func takeFilesChanged() -> Bool { false }

        /// There are no events here.
        var reportsWrites = true

        func drain() -> Bool {
            wake.clear(isReadable: false)
            return true
        }
    }
#endif
