import Foundation
import SQLiteConnection
import Testing

@Suite struct LowLevelTests {
    /// A database in a directory that is removed with it.
    private final class Scratch {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("tablecast-\(UUID().uuidString)")
        var path: String { directory.appendingPathComponent("low.db").path }

        init() throws { try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(at: directory) }

        func connect(_ sql: String = "") throws -> Connection {
            let connection = try Connection(path: path, mode: .readWriteCreate)
            try connection.execute(sql)
            return connection
        }
    }

    private static func word(_ index: Int, of wal: WALIndex) -> UInt32? {
        wal.withHeader { $0?.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self) }
    }

    @Test func `the wal-index counts committed and copied frames`() throws {
        let scratch = try Scratch()
        let writer = try scratch.connect("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
        let file = try DatabaseFile(path: scratch.path, mode: .readWrite, busyTimeout: .seconds(1))
        let index = try #require(try file.walIndex())
        let before = try #require(Self.word(4, of: index))
        try writer.execute("INSERT INTO t VALUES(1)")
        #expect(Self.word(4, of: index) == before + 1)
        #expect(index.backfilledFrameCount == 0)
        let (log, copied) = try writer.checkpoint(.passive)
        #expect(log == copied)
        #expect(index.backfilledFrameCount == before + 1)
    }

    @Test func `there is no wal-index without a log`() throws {
        let scratch = try Scratch()
        _ = try scratch.connect("CREATE TABLE t(a)")
        let file = try DatabaseFile(path: scratch.path, mode: .readWrite, busyTimeout: .seconds(1))
        #expect(try file.journalMode() == "delete")
        let index = try? file.walIndex()
        #expect(index == nil)
    }

    @Test func `the database file is read through SQLite's handle, with zeros past its end`() throws {
        let scratch = try Scratch()
        _ = try scratch.connect("CREATE TABLE t(a)")
        let file = try DatabaseFile(path: scratch.path, mode: .readWrite, busyTimeout: .seconds(1))
        var bytes = [UInt8](repeating: 0xff, count: 16)
        try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        #expect(bytes == Array("SQLite format 3\0".utf8))
        let size = try file.byteCount()
        try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: size) }
        #expect(bytes == [UInt8](repeating: 0, count: 16))
    }

    @Test func `a file that is no database is refused by name`() throws {
        let scratch = try Scratch()
        try Data(repeating: 0x41, count: 4_096).write(to: URL(fileURLWithPath: scratch.path))
        let error = #expect(throws: SQLiteError.self) {
            _ = try DatabaseFile(path: scratch.path, mode: .readWrite, busyTimeout: .seconds(1))
        }
        #expect(error?.code.primary == .notADatabase)
    }

    @Test func `holding the lock of readers who need no frame keeps frames out of the database file`() throws {
        let scratch = try Scratch()
        let writer = try scratch.connect("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
        let file = try DatabaseFile(path: scratch.path, mode: .readWrite, busyTimeout: .seconds(1))
        let index = try #require(try file.walIndex())
        #expect(file.tryLockShared(.readDatabaseOnly))
        _ = try? writer.checkpoint(.passive)
        #expect(index.backfilledFrameCount == 0)
        file.unlockShared(.readDatabaseOnly)
        try writer.checkpoint(.passive)
        #expect(index.backfilledFrameCount > 0)
    }

    @Test func `looking for another process's lock drops none of ours`() throws {
        let scratch = try Scratch()
        let connection = try scratch.connect("PRAGMA journal_mode=WAL; CREATE TABLE t(a); BEGIN; SELECT * FROM t")
        for _ in 0..<3 {
            let probe = try #require(LockProbe(databasePath: scratch.path))
            #expect(!probe.isHeldByOthers(.checkpoint))
        }
        // Without its locks, another process could take the file out of WAL mode.
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        shell.arguments = ["sqlite3", scratch.path, "PRAGMA journal_mode=DELETE"]
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try shell.run()
        shell.waitUntilExit()
        #expect(try connection.query("PRAGMA journal_mode") == [[.text("wal")]])
        #expect(FileIdentity(path: scratch.path + "-shm") != nil)
    }

    @Test func `a replaced file has another identity`() throws {
        let scratch = try Scratch()
        _ = try scratch.connect("CREATE TABLE t(a)")
        let first = try #require(FileIdentity(path: scratch.path))
        #expect(first == FileIdentity(path: scratch.path))
        try Data().write(to: URL(fileURLWithPath: scratch.path + ".new"))
        #expect(rename(scratch.path + ".new", scratch.path) == 0)
        #expect(first != FileIdentity(path: scratch.path))
        #expect(FileIdentity(path: scratch.path + ".none") == nil)
    }

    private final class Image: SnapshotPages {
        var bytes: [UInt8]
        let pageSize = 4_096
        var pageCount: UInt32 { UInt32(bytes.count / pageSize) }

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        func copyPage(_ number: UInt32, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
            let start = (Int(number) - 1) * pageSize + offset
            guard start + buffer.count <= bytes.count else { return false }
            buffer.copyBytes(from: bytes[start..<start + buffer.count])
            return true
        }
    }

    @Test func `SQLite reads the state that the pages show, and nothing can be written`() throws {
        let scratch = try Scratch()
        let writer = try scratch.connect("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
        func image() throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: scratch.path))) }
        let early = try image()
        try writer.execute("INSERT INTO t VALUES(2); CREATE TABLE u(b)")
        let late = try image()
        let pages = Image(early)
        let snapshot = try SnapshotConnection(pages)
        #expect(try snapshot.connection.query("SELECT count(*) FROM t") == [[.integer(1)]])
        pages.bytes = late
        snapshot.pagesChanged()
        #expect(try snapshot.connection.query("SELECT count(*) FROM t, (SELECT count(*) FROM u)") == [[.integer(2)]])
        pages.bytes = early
        snapshot.pagesChanged()
        #expect(try snapshot.connection.query("SELECT count(*) FROM sqlite_schema") == [[.integer(1)]])
        let error = #expect(throws: SQLiteError.self) { try snapshot.connection.execute("INSERT INTO t VALUES(3)") }
        #expect(error?.code.primary == .readOnly)
    }

    @Test func `a snapshot of a database in WAL mode needs no log`() throws {
        let scratch = try Scratch()
        let writer = try scratch.connect("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1)")
        try writer.checkpoint(.truncate)
        let snapshot = try SnapshotConnection(Image(Array(try Data(contentsOf: URL(fileURLWithPath: scratch.path)))))
        #expect(try snapshot.connection.query("SELECT a FROM t ORDER BY random()") == [[.integer(1)]])
    }
}
