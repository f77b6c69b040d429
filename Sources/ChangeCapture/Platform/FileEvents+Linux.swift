#if os(Linux)
    import Glibc

    /// Reports through inotify that the database or its log was written, created, moved or deleted.
    ///
    /// An event only means that a check is worthwhile. Where no events arrive, as on a network file system, the caller
    /// must poll.
    ///
    /// Source: inotify(7).
    final class FileEvents {
        private let descriptor: Int32
        private let databasePath: String
        private let wake: WakeSignal
        /// The file names of interest in the directory.
        private let names: Set<String>
        private var filesChanged = false
        /// Whether a write to the database or its log is an event. Each one costs the writer, and this process is awake anyway
        /// while commits follow one another without pauses.
        var reportsWrites = true {
            didSet { if reportsWrites != oldValue { watchFiles() } }
        }

        /// With a name of 255 bytes and its end.
        private static let maxEventBytes = MemoryLayout<inotify_event>.size + 256

        init(databasePath: String, wake: WakeSignal) {
            self.databasePath = databasePath
            self.wake = wake
            let name = databasePath.split(separator: "/").last.map(String.init) ?? databasePath
            names = [name, name + "-wal", name + "-shm", name + "-journal"]
            // Without inotify, for instance beyond the system's limit of watches, polling remains.
            descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
            let directory = databasePath.hasPrefix("/") ? "/" : "."
            let parent = databasePath.split(separator: "/").dropLast().joined(separator: "/")
            let path = parent.isEmpty ? directory : (databasePath.hasPrefix("/") ? "/" + parent : parent)
            watch(path, IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM)
            watchFiles()
        }

        deinit {
            if descriptor >= 0 { close(descriptor) }
        }

        /// Waits for an event or for the wake signal; true when there was one within `timeout`.
        func wait(atMost timeout: Duration) -> Bool {
            var requests = [
                pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&requests, descriptor < 0 ? 1 : 2, timeout.pollMilliseconds) > 0 else { return false }
            wake.clear(isReadable: requests[0].revents != 0)
            guard descriptor >= 0 else { return true }
            return requests[1].revents != 0 && readEvents()
        }

        /// Reads the events that have arrived, without waiting; true when one is of interest.
        func drain() -> Bool {
            wake.clear(isReadable: false)
            return descriptor < 0 || readEvents()
        }

        private func readEvents() -> Bool {
            var isRelevant = false
            withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 8) { buffer in
                var isMore = true
                while isMore {
                    let count = read(descriptor, buffer.baseAddress, buffer.count)
                    guard count > 0 else { break }
                    // Otherwise the next event would have fitted.
                    isMore = count + Self.maxEventBytes > buffer.count
                    var offset = 0
                    while offset + MemoryLayout<inotify_event>.size <= count {
                        let event = buffer.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                        let nameStart = offset + MemoryLayout<inotify_event>.size
                        offset = nameStart + Int(event.len)
                        guard event.len > 0 else {
                            isRelevant = true
                            if event.mask & UInt32(IN_MODIFY) == 0 { filesChanged = true }
                            continue
                        }
                        let name = buffer[nameStart..<min(offset, count)].prefix { $0 != 0 }
                        if names.contains(String(decoding: name, as: UTF8.self)) {
                            isRelevant = true
                            filesChanged = true
                        }
                    }
                }
            }
            return isRelevant
        }

        /// Whether a file was created, moved or deleted since the last call.
        func takeFilesChanged() -> Bool {
            guard filesChanged else { return false }
            filesChanged = false
            // A newly created file is not the watched one.
            watchFiles()
            return true
        }

        private func watchFiles() {
            let writes = reportsWrites ? IN_MODIFY : 0
            watch(databasePath, writes | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB)
            watch(databasePath + "-wal", writes | IN_MOVE_SELF | IN_DELETE_SELF)
        }

        private func watch(_ path: String, _ events: Int32) {
            if descriptor >= 0 { inotify_add_watch(descriptor, path, UInt32(bitPattern: events)) }
        }
    }
#endif
