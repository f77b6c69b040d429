import CSQLite

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The system's VFS, except that the bytes of temporary files are charged to the ``ResourceBudget`` of the thread.
///
/// SQLite chooses their directory: `SQLITE_TMPDIR`, else `TMPDIR`, else `/var/tmp`, `/usr/tmp`, `/tmp`.
///
/// Source: [Temporary Files Used By SQLite](https://sqlite.org/tempfiles.html).
enum TemporaryFileVFS {
    /// The name to open a connection with; nil where the system's VFS cannot be extended.
    static let name: String? = register() ? registeredName : nil

    private static let registeredName = "tablecast-temporary"

    /// These live as long as the process, are written before the VFS is registered, and only read by SQLite afterwards.
    nonisolated(unsafe) private static let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    nonisolated(unsafe) private static let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)

    /// The header in front of the system's file object, in the memory that SQLite provides for one file.
    private struct Header {
        var base: sqlite3_file
        /// The highest byte written.
        var byteCount: Int64
    }

    private static let headerByteCount = (MemoryLayout<Header>.size + 15) & ~15
    private static let temporaryFlags =
        SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_TRANSIENT_DB | SQLITE_OPEN_SUBJOURNAL

    private static func register() -> Bool {
        guard let system = sqlite3_vfs_find(nil) else { return false }
        methods.initialize(to: fileMethods())
        // Everything except opening files is the system's own code, which reads its own fields through the pointer that
        // it gets: so they are copied too.
        vfs.initialize(to: system.pointee)
        vfs.pointee.pNext = nil
        vfs.pointee.zName = UnsafePointer(registeredName.withCString { strdup($0) })
        vfs.pointee.szOsFile = system.pointee.szOsFile + Int32(headerByteCount)
        vfs.pointee.xOpen = { _, name, file, flags, outFlags in
            guard let file, let system = sqlite3_vfs_find(nil) else { return SQLITE_CANTOPEN }
            // Without a name it is one of SQLite's own choice: VACUUM's new file, which goes by the flags of a database.
            guard name == nil || flags & TemporaryFileVFS.temporaryFlags != 0 else {
                return system.pointee.xOpen(system, name, file, flags, outFlags)
            }
            return TemporaryFileVFS.open(system, name, file, flags, outFlags)
        }
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK
    }

    private static func open(
        _ system: UnsafeMutablePointer<sqlite3_vfs>,
        _ name: UnsafePointer<CChar>?,
        _ file: UnsafeMutablePointer<sqlite3_file>,
        _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        file.pointee.pMethods = nil
        let inner = innerFile(file)
        let code = system.pointee.xOpen(system, name, inner, flags, outFlags)
        // "xOpen must set pMethods even if it fails, where xClose is to be called": sqlite.org/c3ref/vfs.html
        guard inner.pointee.pMethods != nil else { return code }
        header(file).pointee.byteCount = 0
        file.pointee.pMethods = UnsafePointer(methods)
        return code
    }

    private static func header(_ file: UnsafeMutablePointer<sqlite3_file>) -> UnsafeMutablePointer<Header> {
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: Header.self)
    }

    private static func innerFile(_ file: UnsafeMutablePointer<sqlite3_file>) -> UnsafeMutablePointer<sqlite3_file> {
        (UnsafeMutableRawPointer(file) + headerByteCount).assumingMemoryBound(to: sqlite3_file.self)
    }

    /// Calls a method of the system's file.
    private static func forward(
        _ file: UnsafeMutablePointer<sqlite3_file>?,
        _ body: (UnsafeMutablePointer<sqlite3_file>, sqlite3_io_methods) -> Int32?
    ) -> Int32 {
        guard let file else { return SQLITE_IOERR }
        let inner = innerFile(file)
        guard let methods = inner.pointee.pMethods?.pointee else { return SQLITE_IOERR }
        return body(inner, methods) ?? SQLITE_IOERR
    }

    private static func charge(_ file: UnsafeMutablePointer<sqlite3_file>, growsTo end: Int64) -> Bool {
        let growth = Int(end - header(file).pointee.byteCount)
        guard growth > 0 else { return true }
        let budget = ResourceBudget.ofThisThread()
        guard budget.mayTakeTemporary(growth) else { return false }
        budget.tookTemporary(growth)
        header(file).pointee.byteCount = end
        return true
    }

    private static func release(_ file: UnsafeMutablePointer<sqlite3_file>, shrinksTo end: Int64) {
        let freed = header(file).pointee.byteCount - end
        guard freed > 0 else { return }
        ResourceBudget.ofThisThread().tookTemporary(-Int(freed))
        header(file).pointee.byteCount = end
    }

    private static func fileMethods() -> sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        // Version 1: no shared memory and no mapping; a temporary file needs neither.
        methods.iVersion = 1
        methods.xClose = { file in
            if let file { TemporaryFileVFS.release(file, shrinksTo: 0) }
            return TemporaryFileVFS.forward(file) { $1.xClose?($0) }
        }
        methods.xRead = { file, bytes, count, offset in
            TemporaryFileVFS.forward(file) { $1.xRead?($0, bytes, count, offset) }
        }
        methods.xWrite = { file, bytes, count, offset in
            guard let file, TemporaryFileVFS.charge(file, growsTo: offset + Int64(count)) else { return SQLITE_FULL }
            return TemporaryFileVFS.forward(file) { $1.xWrite?($0, bytes, count, offset) }
        }
        methods.xTruncate = { file, size in
            if let file { TemporaryFileVFS.release(file, shrinksTo: size) }
            return TemporaryFileVFS.forward(file) { $1.xTruncate?($0, size) }
        }
        methods.xSync = { file, flags in TemporaryFileVFS.forward(file) { $1.xSync?($0, flags) } }
        methods.xFileSize = { file, size in TemporaryFileVFS.forward(file) { $1.xFileSize?($0, size) } }
        methods.xLock = { file, level in TemporaryFileVFS.forward(file) { $1.xLock?($0, level) } }
        methods.xUnlock = { file, level in TemporaryFileVFS.forward(file) { $1.xUnlock?($0, level) } }
        methods.xCheckReservedLock = { file, result in
            TemporaryFileVFS.forward(file) { $1.xCheckReservedLock?($0, result) }
        }
        methods.xFileControl = { file, operation, argument in
            TemporaryFileVFS.forward(file) { $1.xFileControl?($0, operation, argument) }
        }
        methods.xSectorSize = { file in TemporaryFileVFS.forward(file) { $1.xSectorSize?($0) } }
        methods.xDeviceCharacteristics = { file in
            TemporaryFileVFS.forward(file) { $1.xDeviceCharacteristics?($0) }
        }
        return methods
    }
}
