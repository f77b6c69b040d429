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

/// A database that exists as long as this object: a private file in WAL mode, in memory where the system has a memory
/// file system.
///
/// SQLite's own in-memory databases are not suitable: their readers and their writer block each other. The file is in a
/// directory that only this user may enter, in `/dev/shm` if that is writable and otherwise in the directory for
/// temporary files. Both are removed with the object; those of a killed process are removed by the next process that
/// creates such a database.
///
/// Thread-safe.
public final class InMemoryDatabase: Sendable {
    /// The path that denotes such a database.
    public static let name = ":memory:"

    /// The path of the file.
    public let path: String
    private let directory: String
    /// Holds the lock that marks the directory as in use; the system releases it with the process.
    private let lock: Int32
    private let isRemoved = Mutex(false)

    static let prefix = "tablecast-memory-"
    private static let lockName = "lock"
    private static let maxAttempts = 100
    /// The maximum time between creating the directory and locking it.
    private static let secondsToLock = 60

    /// Creates an empty database, after removing those of ended processes.
    ///
    /// - Throws: ``DatabaseFileError`` when the directory or the file cannot be created.
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

    /// Removes the file and its directory, for a process that ends without releasing its objects; a second call does
    /// nothing. Connections that have the file open can still use it.
    public func remove() {
        let isFirst = isRemoved.withLock { isRemoved in
            defer { isRemoved = true }
            return !isRemoved
        }
        if isFirst { Self.remove(directory) }
    }

    /// The memory file system, or otherwise the directory for temporary files.
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
            // A process that is just starting treats it as abandoned, and removes it.
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
        // A base directory that cannot be listed is left unchanged.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        for name in names where name.hasPrefix(prefix) {
            let directory = "\(base)/\(name)"
            var status = stat()
            guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
                // A directory without a lock is about to get it, or its process was killed before.
                let lock = tryLock(directory, creates: time(nil) - status.modificationSeconds > secondsToLock)
            else { continue }
            remove(directory)
            close(lock)
        }
    }

    private static func remove(_ directory: String) {
        // If it cannot be removed now, the next process that creates such a database removes it.
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
