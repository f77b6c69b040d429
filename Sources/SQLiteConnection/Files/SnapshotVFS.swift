import CSQLite
import Synchronization

/// A VFS with a single, read-only file: the pages that a ``SnapshotPages`` currently provides.
///
/// The header is shown with the format bytes of a rollback-journal database (a file in WAL mode would make SQLite look
/// for its log), and with ``version`` as the change counter, so that SQLite drops its cache when the snapshot changes.
///
/// Source: [The SQLite OS Interface or "VFS"](https://sqlite.org/vfs.html).
final class SnapshotVFS {
    let name: String
    var version: UInt32 = 1

    private let pages: any SnapshotPages
    private let cName: UnsafeMutablePointer<CChar>
    private let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    private let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)

    init(name: String, pages: any SnapshotPages) throws(SQLiteError) {
        self.name = name
        self.pages = pages
        let bytes = name.utf8CString
        cName = .allocate(capacity: bytes.count)
        for (index, byte) in bytes.enumerated() { (cName + index).initialize(to: byte) }
        methods.initialize(to: Self.fileMethods())
        vfs.initialize(to: Self.vfsMethods())
        vfs.pointee.zName = UnsafePointer(cName)
        vfs.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
        let code = sqlite3_vfs_register(vfs, 0)
        guard code == SQLITE_OK else { throw SQLiteError(code: code, handle: nil) }
    }

    // Open files retain this object, so that nothing refers to the VFS any more.
    deinit {
        sqlite3_vfs_unregister(vfs)
        vfs.deallocate()
        methods.deallocate()
        cName.deallocate()
    }

    private func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int32 {
        let end = Int64(pages.pageCount) * Int64(pages.pageSize)
        let available = max(0, min(Int64(buffer.count), end - offset))
        var done = 0
        while done < available {
            let position = Int(offset) + done
            let inPage = position % pages.pageSize
            let count = min(Int(available) - done, pages.pageSize - inPage)
            let number = UInt32(position / pages.pageSize) + 1
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
            guard pages.copyPage(number, from: inPage, into: part) else { return SQLITE_IOERR }
            if number == 1 { disguiseHeader(part, at: inPage) }
            done += count
        }
        if done == buffer.count { return SQLITE_OK }
        // "The VFS must zero-fill the part that could not be read": sqlite.org/c3ref/io_methods.html
        buffer[done...].initializeMemory(as: UInt8.self, repeating: 0)
        return ResultCode.shortRead.rawValue
    }

    private func disguiseHeader(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
        func set(_ position: Int, _ value: UInt8) {
            if position >= offset, position < offset + bytes.count { bytes[position - offset] = value }
        }
        // File format write and read version: 1 is a rollback journal, 2 is a log.
        set(18, 1)
        set(19, 1)
        for index in 0..<4 {
            let byte = UInt8(truncatingIfNeeded: version >> UInt32(24 - 8 * index))
            // The change counter, and the version-valid-for number.
            set(24 + index, byte)
            set(92 + index, byte)
        }
    }
}

// MARK: - What SQLite calls

extension SnapshotVFS {
    private static func of(_ file: UnsafeMutablePointer<sqlite3_file>?) -> SnapshotVFS? {
        file.flatMap { file in
            UnsafeMutableRawPointer(file).assumingMemoryBound(to: csqlite_file.self).pointee.context
        }.map { Unmanaged<SnapshotVFS>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func open(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ file: UnsafeMutablePointer<sqlite3_file>?) {
        guard let file, let context = vfs?.pointee.pAppData else { return }
        let this = Unmanaged<SnapshotVFS>.fromOpaque(context).retain()
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: csqlite_file.self).pointee.context = this.toOpaque()
        file.pointee.pMethods = UnsafePointer(this.takeUnretainedValue().methods)
    }

    private static func vfsMethods() -> sqlite3_vfs {
        var vfs = sqlite3_vfs()
        vfs.iVersion = 1
        vfs.szOsFile = Int32(MemoryLayout<csqlite_file>.size)
        vfs.mxPathname = 256
        vfs.xOpen = { vfs, _, file, flags, outFlags in
            file?.pointee.pMethods = nil
            guard flags & SQLITE_OPEN_MAIN_DB != 0 else { return SQLITE_CANTOPEN }
            SnapshotVFS.open(vfs, file)
            outFlags?.pointee = SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB
            return SQLITE_OK
        }
        vfs.xDelete = { _, _, _ in SQLITE_READONLY }
        // No journal and no log exist.
        vfs.xAccess = { _, _, _, result in
            result?.pointee = 0
            return SQLITE_OK
        }
        vfs.xFullPathname = { _, name, capacity, result in
            guard let name, let result, strlen(name) < Int(capacity) else { return SQLITE_CANTOPEN }
            memcpy(result, name, strlen(name) + 1)
            return SQLITE_OK
        }
        vfs.xRandomness = { _, count, bytes in
            sqlite3_randomness(count, bytes)
            return count
        }
        vfs.xSleep = { _, _ in 0 }
        vfs.xCurrentTime = { _, result in
            let system = sqlite3_vfs_find(nil)
            return system?.pointee.xCurrentTime?(system, result) ?? SQLITE_ERROR
        }
        return vfs
    }

    private static func fileMethods() -> sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        methods.iVersion = 1
        methods.xClose = { file in
            guard let file else { return SQLITE_OK }
            let slot = UnsafeMutableRawPointer(file).assumingMemoryBound(to: csqlite_file.self)
            if let context = slot.pointee.context { Unmanaged<SnapshotVFS>.fromOpaque(context).release() }
            slot.pointee.context = nil
            return SQLITE_OK
        }
        methods.xRead = { file, bytes, count, offset in
            guard let this = SnapshotVFS.of(file) else { return SQLITE_IOERR }
            return this.read(UnsafeMutableRawBufferPointer(start: bytes, count: Int(count)), at: offset)
        }
        methods.xWrite = { _, _, _, _ in SQLITE_READONLY }
        methods.xTruncate = { _, _ in SQLITE_READONLY }
        methods.xSync = { _, _ in SQLITE_OK }
        methods.xFileSize = { file, result in
            guard let pages = SnapshotVFS.of(file)?.pages else { return SQLITE_IOERR }
            result?.pointee = Int64(pages.pageCount) * Int64(pages.pageSize)
            return SQLITE_OK
        }
        methods.xLock = { _, _ in SQLITE_OK }
        methods.xUnlock = { _, _ in SQLITE_OK }
        methods.xCheckReservedLock = { _, result in
            result?.pointee = 0
            return SQLITE_OK
        }
        methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        methods.xSectorSize = { _ in 4096 }
        methods.xDeviceCharacteristics = { _ in 0 }
        return methods
    }
}

/// A connection on which SQLite reads a database as of the commit that its ``SnapshotPages`` provide.
///
/// Reads only, takes no lock, and uses neither a journal nor a log. Use it on one thread at a time, the one that its
/// pages belong to.
package final class SnapshotConnection {
    package let connection: Connection
    private let vfs: SnapshotVFS

    private static let count = Atomic<Int>(0)

    package init(_ pages: any SnapshotPages) throws(SQLiteError) {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        vfs = try SnapshotVFS(name: "tablecast-snapshot-\(number)", pages: pages)
        connection = try Connection(path: "snapshot", mode: .readOnly, isURI: false, vfs: vfs.name, isOnDisk: false)
        try EvaluationPolicy().apply(to: connection)
        // The VFS has only this one file, so sorting must stay in memory.
        try connection.execute("PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0")
    }

    deinit { connection.close() }

    /// Notes that the pages now show another commit: the next statement reads them again instead of using the cache.
    /// Call it while no statement is running.
    package func pagesChanged() { vfs.version &+= 1 }
}

/// The pages of a database as of one commit, for a ``SnapshotConnection`` to read.
package protocol SnapshotPages: AnyObject {
    /// In bytes.
    var pageSize: Int { get }
    /// The size of the database; pages are numbered from 1.
    var pageCount: UInt32 { get }

    /// Copies the bytes of a page from `offset` on into `buffer`, which ends within the page; false when they cannot be
    /// read.
    func copyPage(_ number: UInt32, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool
}
