import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The directory of one database's state: readable by its owner alone, and locked for one process.
///
/// All files are opened relative to the directory's descriptor, so a directory that is renamed meanwhile stays the same.
/// Thread-safe.
package final class StateDirectory: Sendable {
    package let path: String
    private let descriptor: Int32
    /// Holds the lock until it is closed, also by the end of the process. Nil once it is released.
    private let lock: Mutex<Int32?>

    private static let lockName = "lock"

    /// Opens and locks the directory; creates it if it does not exist.
    ///
    /// - Parameter followsLink: whether `path` may be a symbolic link: for a path that the operator chose.
    package init(path: String, followsLink: Bool) throws(StateError) {
        self.path = path
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw .last("creation", path) }
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followsLink ? 0 : O_NOFOLLOW)
        let directory = open(path, flags)
        guard directory >= 0 else {
            if errno == ENOTDIR || errno == ELOOP { throw .notADirectory(path: path) }
            throw .last("opening", path)
        }
        do throws(StateError) {
            try Self.restrict(directory, path)
            lock = Mutex(try Self.lock(directory, path))
        } catch {
            close(directory)
            throw error
        }
        descriptor = directory
    }

    deinit {
        unlock()
        close(descriptor)
    }

    /// Lets another process use the directory. Nothing may be written afterwards.
    package func unlock() {
        lock.withLock { lock in
            if let lock { close(lock) }
            lock = nil
        }
    }

    private static func restrict(_ directory: Int32, _ path: String) throws(StateError) {
        var status = stat()
        guard fstat(directory, &status) == 0 else { throw .last("inspection", path) }
        guard status.st_uid == geteuid() else { throw .notOwned(directory: path) }
        // A directory that others use as well stays as it is; the files are closed to them.
        guard status.st_mode & 0o077 != 0, try names(in: directory, path).allSatisfy(isOwn) else { return }
        guard fchmod(directory, 0o700) == 0 else { throw .last("restriction of the access", path) }
    }

    private static func lock(_ directory: Int32, _ path: String) throws(StateError) -> Int32 {
        let file = openat(directory, lockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .last("opening", "\(path)/\(lockName)") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(file)
            if code == EWOULDBLOCK { throw .inUse(directory: path) }
            throw .system(operation: "locking", path: "\(path)/\(lockName)", code: code)
        }
        return file
    }

    /// The numbers of the segments, ascending.
    func segmentNumbers() throws(StateError) -> [UInt64] {
        try Self.names(in: descriptor, path).compactMap(SegmentName.number).sorted()
    }

    private static func isOwn(_ name: String) -> Bool {
        [".", "..", lockName].contains(name) || SegmentName.number(name) != nil
    }

    private static func names(in directory: Int32, _ path: String) throws(StateError) -> [String] {
        // A descriptor of its own, which closedir(3) closes.
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { throw .last("listing", path) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            )
        }
        return names
    }

    func openSegment(_ number: UInt64, creating: Bool) throws(StateError) -> StateFile {
        let name = SegmentName.text(number)
        let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (creating ? O_CREAT | O_EXCL : 0)
        let file = openat(descriptor, name, flags, 0o600)
        guard file >= 0 else { throw .last(creating ? "creation" : "opening", "\(path)/\(name)") }
        return StateFile(descriptor: file, path: "\(path)/\(name)")
    }

    func removeSegment(_ number: UInt64) throws(StateError) {
        let name = SegmentName.text(number)
        guard unlinkat(descriptor, name, 0) == 0 || errno == ENOENT else {
            throw .last("removal", "\(path)/\(name)")
        }
    }

    /// Makes the names of new files durable.
    func sync() throws(StateError) {
        guard fsync(descriptor) == 0 else { throw .last("sync", path) }
    }
}

/// The name of a segment's file: 16 hexadecimal digits and `.segment`.
enum SegmentName {
    private static let suffix = ".segment"

    static func text(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + suffix
    }

    static func number(_ name: String) -> UInt64? {
        guard name.utf8.count == 16 + suffix.utf8.count, name.hasSuffix(suffix),
            let number = UInt64(name.prefix(16), radix: 16), text(number) == name
        else { return nil }
        return number
    }
}

/// An open file of the state; closed with its last reference. Thread-safe: each call is one positioned operation.
final class StateFile: Sendable {
    private let descriptor: Int32
    private let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func byteCount() throws(StateError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last("inspection", path) }
        return Int(status.st_size)
    }

    /// Writes all bytes at `offset`.
    func write(_ bytes: ArraySlice<UInt8>, at offset: Int) throws(StateError) {
        let written = bytes.withUnsafeBytes { bytes in
            Result { () throws(StateError) in try write(bytes, at: offset) }
        }
        try written.get()
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StateError) {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw .last("writing", path)
            }
            done += count
        }
    }

    /// The bytes from `offset` on, at most `maxBytes`; fewer at the end of the file.
    func read(at offset: Int, maxBytes: Int) throws(StateError) -> [UInt8] {
        var failure: Int32?
        let bytes = [UInt8](unsafeUninitializedCapacity: maxBytes) { buffer, count in
            while count < maxBytes, let base = buffer.baseAddress {
                let read = pread(descriptor, base + count, maxBytes - count, off_t(offset + count))
                if read < 0 {
                    if errno == EINTR { continue }
                    failure = errno
                }
                if read <= 0 { break }
                count += read
            }
        }
        if let failure { throw .system(operation: "reading", path: path, code: failure) }
        return bytes
    }

    func truncate(to byteCount: Int) throws(StateError) {
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else { throw .last("truncation", path) }
    }

    /// Waits until everything that was written is durable.
    func sync() throws(StateError) {
        #if canImport(Darwin)
            let isSynced = fcntl(descriptor, F_FULLFSYNC) == 0 || fsync(descriptor) == 0
        #else
            let isSynced = fdatasync(descriptor) == 0
        #endif
        guard isSynced else { throw .last("sync", path) }
    }
}

extension StateError {
    /// The error of the system call that has just failed.
    fileprivate static func last(_ operation: String, _ path: String) -> StateError {
        .system(operation: operation, path: path, code: errno)
    }
}
