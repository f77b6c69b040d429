import SQLiteConnection
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A database for as long as this object lives: a private file in WAL mode, in memory where the system has a file system
/// there.
///
/// SQLite's own databases in memory do not do: their readers and their writer exclude each other. The file is in a directory
/// that only this user may enter, in `/dev/shm` where that can be written and else where temporary files go. Both are
/// removed with the object; what a process leaves that is killed is removed by the next one that makes such a database.
///
/// Thread-safe.
public final class InMemoryDatabase: Sendable {
    /// What stands for such a database where a path is expected.
    public static let name = ":memory:"

    /// Of the file.
    public let path: String
    private let directory: String
    /// Keeps the lock that says that the directory is in use; the system releases it with the process.
    private let lock: Int32
    private let isRemoved = Mutex(false)

    static let prefix = "tablecast-memory-"
    private static let lockName = "lock"
    private static let maxAttempts = 100
    /// How long a process takes at most between making the directory and locking it.
    private static let secondsToLock = 60

    /// Makes an empty database, after removing those whose processes are gone.
    ///
    /// - Throws: ``DatabaseFileError`` when the directory or the file cannot be made.
    public convenience init() throws(DatabaseFileError) {
        try self.init(in: Self.base)
    }

    init(in base: String) throws(DatabaseFileError) {
        Self.removeAbandoned(in: base)
        (directory, lock) = try Self.makeDirectory(in: base)
        path = directory + "/memory.db"
        do throws(SQLiteError) {
            let connection = try Connection(path: path, mode: .readWriteCreate)
            try connection.execute("PRAGMA journal_mode = WAL")
            connection.close()
        } catch {
            remove()
            throw .unusable(path: path, reason: error.message)
        }
    }

    deinit {
        remove()
        close(lock)
    }

    /// Removes the file and its directory, at the end of a process that ends without releasing what it has; again does
    /// nothing. What has the file open still can use it.
    public func remove() {
        let isFirst = isRemoved.withLock { isRemoved in
            defer { isRemoved = true }
            return !isRemoved
        }
        if isFirst { Self.remove(directory) }
    }

    /// In memory, or else where temporary files go.
    static var base: String {
        if access("/dev/shm", W_OK | X_OK) == 0 { return "/dev/shm" }
        return ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    }

    /// A new directory, and a descriptor that locks it.
    private static func makeDirectory(in base: String) throws(DatabaseFileError) -> (String, Int32) {
        for _ in 0..<maxAttempts {
            var template = Array("\(base)/\(prefix)XXXXXX".utf8CString)
            // With the mode 0700.
            guard let made = mkdtemp(&template) else { break }
            let directory = String(cString: made)
            if let lock = tryLock(directory, creates: true) { return (directory, lock) }
            // A process that starts at this moment took it for abandoned, and removes it.
        }
        throw .unreachable(path: base, reason: String(cString: strerror(errno)))
    }

    /// A descriptor that holds the directory's lock; nil when another process has it or it cannot be opened.
    private static func tryLock(_ directory: String, creates: Bool) -> Int32? {
        let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (creates ? O_CREAT : 0)
        let descriptor = open("\(directory)/\(lockName)", flags, 0o600)
        guard descriptor >= 0 else { return nil }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// Removes the directories of this user whose lock no process holds.
    private static func removeAbandoned(in base: String) {
        // A base that cannot be listed keeps what it has.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        for name in names where name.hasPrefix(prefix) {
            let directory = "\(base)/\(name)"
            var status = stat()
            guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
                // One without a lock is about to get it, or its process was killed before.
                let lock = tryLock(directory, creates: time(nil) - status.modificationSeconds > secondsToLock)
            else { continue }
            remove(directory)
            close(lock)
        }
    }

    private static func remove(_ directory: String) {
        // What cannot be removed now is removed by the next process that makes such a database.
        try? FileManager.default.removeItem(atPath: directory)
    }
}

extension stat {
    fileprivate var modificationSeconds: Int {
        #if canImport(Darwin)
            Int(st_mtimespec.tv_sec)
        #else
            Int(st_mtim.tv_sec)
        #endif
    }
}
