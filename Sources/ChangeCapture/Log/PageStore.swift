import SQLiteConnection

/// The pages of a database in WAL mode as of any commit that is still pinned: from the log, else from the database file.
///
/// One thread at a time.
final class PageStore {
    let pageSize: Int
    /// ``pageSize`` minus the bytes reserved at each page's end.
    let usableSize: Int
    private let file: DatabaseFile
    /// The path of the file itself: see ``DatabaseFile/path``.
    private let path: String
    private var wal: WALFile?
    /// The system's error when a page could not be read: not a fault of the bytes.
    private(set) var readFailure: SQLiteError?
    private var frames = FrameIndex()
    /// Frames that were read together, before they are indexed and their pages are needed.
    private var run: FrameRun
    /// The number of indexed frames since the last commit.
    private var openFrameCount = 0
    private let cache: PageCache

    init(file: DatabaseFile, maxCacheBytes: Int) throws(WatchError) {
        let path = file.path
        self.path = path
        self.file = file
        // Page 1 of the file always has its header, because WAL mode itself is recorded there. Neither size can change
        // while the file is in WAL mode.
        let header = try withUnsafeTemporaryAllocation(byteCount: DatabaseHeader.byteCount, alignment: 8) { bytes in
            Result { () throws(WatchError) in
                try WatchError.wrap { () throws(SQLiteError) in try file.read(into: bytes, at: 0) }
                do {
                    return try DatabaseHeader(UnsafeRawBufferPointer(bytes))
                } catch {
                    throw .notADatabase(path: path, reason: "\(error)")
                }
            }
        }.get()
        pageSize = header.pageSize
        usableSize = header.usableSize
        cache = PageCache(pageSize: pageSize, maxBytes: maxCacheBytes)
        run = FrameRun(pageSize: pageSize)
        // The log is opened now, while it has no frame yet: SQLite's connections have it open as well, and it may be
        // deleted before its first frame.
        wal = WALFile(databasePath: path)
    }

    /// The size of the database file in pages.
    func filePageCount() throws(WatchError) -> UInt32 {
        let bytes = try WatchError.wrap { () throws(SQLiteError) in try file.byteCount() }
        return UInt32(clamping: bytes / Int64(pageSize))
    }

    /// Whether the database file is still a SQLite database in WAL mode, whatever wrote to it, and not shorter than
    /// `pageCount`.
    func isDatabaseInPlace(pageCount: UInt32) -> Bool {
        let hasHeader = withUnsafeTemporaryAllocation(byteCount: DatabaseHeader.byteCount, alignment: 8) { bytes in
            guard (try? file.read(into: bytes, at: 0)) != nil else { return false }
            return (try? DatabaseHeader(UnsafeRawBufferPointer(bytes)))?.pageSize == pageSize
        }
        guard hasHeader, let found = try? filePageCount() else { return false }
        return found >= pageCount
    }

    /// False when the name of the log no longer refers to the opened log.
    var isLogInPlace: Bool { wal?.isInPlace ?? true }

    /// The number of the first frame that is not indexed yet.
    var nextFrame: UInt32 { frames.nextFrame }

    /// Reads and indexes the header of the next frame.
    ///
    /// - Parameters:
    ///   - salt: the generation of the log that the frame must belong to.
    ///   - last: the last frame that is committed: those up to it do not change any more.
    func indexNextFrame(salt: WALSalt, upTo last: UInt32) throws(WatchError) -> WALFrameHeader {
        let number = frames.nextFrame
        let header = try WatchError.wrap { () throws(SQLiteError) in try nextHeader(number, upTo: last) }
        guard let header else {
            throw .discontinuity(EpochReason(.logLost, "the write-ahead log was cut off at frame \(number)"))
        }
        // SQLite 3.40 can leave committed frames whose salt and checksum are zero (a page that was spilled and written
        // again after ROLLBACK TO): only the salt of another generation is invalid.
        guard header.salt == salt || header.salt == .zero, header.pageNumber > 0, header.pageNumber < 1 << 31 else {
            throw .discontinuity(EpochReason(.logLost, "frame \(number) of the log does not belong to it"))
        }
        frames.append(page: header.pageNumber)
        openFrameCount = header.isCommit ? 0 : openFrameCount + 1
        return header
    }

    private func nextHeader(_ number: UInt32, upTo last: UInt32) throws(SQLiteError) -> WALFrameHeader? {
        if wal == nil { wal = WALFile(databasePath: path) }
        // The pages of a commit of many frames are read later, one by one: here they would only be read twice.
        if !run.contains(number), openFrameCount < run.capacity {
            let bytes = run.begin(number...max(number, last))
            run.end(byteCount: try wal?.read(into: bytes, at: run.offset(ofFrame: number)) ?? 0)
        }
        if let header = run.withFrame(number, { WALFrameHeader($0) }) { return header }
        return try readHeader(number)
    }

    private func readHeader(_ number: UInt32) throws(SQLiteError) -> WALFrameHeader? {
        try withUnsafeTemporaryAllocation(byteCount: WALFrameHeader.byteCount, alignment: 8) { bytes in
            Result { () throws(SQLiteError) in
                try wal?.read(into: bytes, at: run.offset(ofFrame: number)) == bytes.count
                    ? WALFrameHeader(UnsafeRawBufferPointer(bytes)) : nil
            }
        }.get()
    }

    /// The header of any frame of the log; nil when it cannot be read.
    func frameHeader(_ number: UInt32) -> WALFrameHeader? {
        if wal == nil { wal = WALFile(databasePath: path) }
        // An error of the system means that continuity cannot be proved.
        return try? readHeader(number)
    }

    /// Whether the log has this commit.
    func holds(_ mark: LogMark) -> Bool {
        guard let frame = frameHeader(mark.lastFrame) else { return false }
        return LogMark(frame, number: mark.lastFrame, salt: mark.salt) == mark
    }

    /// Whether the database file has a page with a content that none of these frames has. False when something cannot be read.
    func differs(_ page: UInt32, from frames: [UInt32]) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 2 * pageSize, alignment: 16) { bytes in
            let inFile = UnsafeMutableRawBufferPointer(rebasing: bytes[..<pageSize])
            let inLog = UnsafeMutableRawBufferPointer(rebasing: bytes[pageSize...])
            do throws(WALDecodeError) {
                try read(page, nil, into: inFile)
                for frame in frames {
                    try read(page, frame, into: inLog)
                    if inFile.elementsEqual(inLog) { return false }
                }
                return true
            } catch {
                return false
            }
        }
    }

    /// Frames after the copied ones that are searched for what a checkpoint leaves out.
    private static let maxSearchedFrames: UInt32 = 1_000

    /// Whether the database file lacks the page of the last frame that a checkpoint copied into it. False if that is not
    /// certain.
    func lacksPage(ofCopiedFrame copied: UInt32, of header: WALIndexHeader, fileByteCount: Int64) -> Bool {
        guard copied > 0, header.maxFrame >= copied, header.maxFrame - copied < Self.maxSearchedFrames,
            let frame = frameHeader(copied), frame.salt == header.salt, frame.isCommit
        else { return false }
        for number in copied...header.maxFrame {
            guard let later = frameHeader(number), later.salt == header.salt else { return false }
            // A checkpoint leaves out a page that a frame beyond its goal has again, and pages past the end of a database
            // that has become smaller.
            if number > copied, later.pageNumber == frame.pageNumber { return false }
            if later.isCommit, later.pageCountAfterCommit < frame.pageNumber { return false }
        }
        return fileByteCount < Int64(frame.pageNumber) * Int64(pageSize) || differs(frame.pageNumber, from: [copied])
    }

    /// Throws when a commit changed the layout of the pages: `VACUUM` can change the number of bytes reserved at their
    /// ends.
    func checkHeader(upTo limit: UInt32) throws(WatchError) {
        do {
            try withPage(1, upTo: limit) { (page) throws(WALDecodeError) in
                guard try DatabaseHeader(page).usableSize == usableSize else {
                    throw WALDecodeError(page: 1, .badHeader("the same usable size as before"))
                }
            }
        } catch {
            throw .undecodable("\(error)")
        }
    }

    /// Throws when a commit claims more pages than possible: each page is in the file, in the log, or free and listed
    /// on a freelist page, and a new freelist page is in the log.
    ///
    /// - Parameters:
    ///   - pageCount: the number that the commit claims.
    ///   - known: the number of pages before the frames.
    ///   - frameCount: the number of frames that can have added pages.
    func check(pageCount: UInt32, known: UInt32, frameCount: Int) throws(WatchError) {
        let pagesPerFrame = usableSize / 4
        let most = Int(known) + frameCount * pagesPerFrame + 1
        guard Int(pageCount) <= most else {
            throw .undecodable(
                "the log claims that the database has \(pageCount) pages, and there can be no more than \(most)"
            )
        }
    }

    /// Removes the log's frames from the index: everything before frame `next` is in the database file.
    func forgetFrames(next: UInt32) {
        frames.removeAll(next: next)
        run.removeAll()
        openFrameCount = 0
        cache.removeAll()
    }

    /// Passes a page as of the commit whose last frame is `limit`.
    @inline(__always)
    func withPage<Result>(
        _ number: UInt32,
        upTo limit: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> Result
    ) throws(WALDecodeError) -> Result {
        let frame = frames.frame(of: number, upTo: limit)
        let key = frame.map { 1 << 63 | UInt64($0) } ?? UInt64(number)
        return try cache.withPage(
            key,
            fill: { buffer throws(WALDecodeError) in try self.read(number, frame, into: buffer) },
            body: body
        )
    }

    private func read(
        _ number: UInt32,
        _ frame: UInt32?,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(WALDecodeError) {
        if let frame {
            let isCopied: Void? = run.withFrame(frame) {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[WALFrameHeader.byteCount...]))
            }
            if isCopied != nil { return }
            let position = run.offset(ofFrame: frame) + Int64(WALFrameHeader.byteCount)
            do throws(SQLiteError) {
                if try wal?.read(into: buffer, at: position) == buffer.count { return }
            } catch {
                readFailure = error
                throw WALDecodeError(page: number, .unreadable("\(error)"))
            }
            throw WALDecodeError(page: number, .unreadable("frame \(frame) of the log is cut off"))
        }
        do {
            try file.read(into: buffer, at: Int64(number - 1) * Int64(pageSize))
        } catch {
            readFailure = error
            throw WALDecodeError(page: number, .unreadable("\(error)"))
        }
    }
}

extension WALSalt {
    fileprivate static let zero = WALSalt(first: 0, second: 0)
}

/// Recently read pages, in a bounded number of reused buffers.
///
/// A borrowed page is never recycled. Not `Sendable`: one thread at a time.
final class PageCache {
    private struct Slot {
        var key: UInt64
        var buffer: UnsafeMutableRawPointer
        var loans = 0
        /// Used since the clock hand passed it.
        var wasUsed = true
    }

    private let pageSize: Int
    private let capacity: Int
    private var slots: [Slot] = []
    private var slotOfKey: [UInt64: Int] = [:]
    private var hand = 0

    /// - Parameter maxBytes: the limit for all buffers together; at least sixteen pages are kept.
    init(pageSize: Int, maxBytes: Int) {
        self.pageSize = pageSize
        capacity = max(16, maxBytes / pageSize)
    }

    deinit {
        for slot in slots { slot.buffer.deallocate() }
    }

    /// Passes the page of `key` to `body`; `fill` reads it when it is not cached.
    @inline(__always)
    func withPage<Result, Failure>(
        _ key: UInt64,
        fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void,
        body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let index: Int
        if let found = slotOfKey[key] {
            index = found
        } else {
            index = takeSlot()
            try fill(UnsafeMutableRawBufferPointer(start: slots[index].buffer, count: pageSize))
            slots[index].key = key
            slotOfKey[key] = index
        }
        slots[index].wasUsed = true
        slots[index].loans += 1
        defer { slots[index].loans -= 1 }
        return try body(UnsafeRawBufferPointer(start: slots[index].buffer, count: pageSize))
    }

    /// Removes every page; none may be borrowed.
    func removeAll() {
        slotOfKey.removeAll(keepingCapacity: true)
        for index in slots.indices {
            slots[index].key = 0
            slots[index].wasUsed = false
        }
    }

    /// A free slot, by the clock algorithm; exceeds the capacity only when every page is borrowed.
    private func takeSlot() -> Int {
        if slots.count >= capacity {
            for _ in 0..<2 * slots.count {
                hand = hand + 1 < slots.count ? hand + 1 : 0
                guard slots[hand].loans == 0 else { continue }
                guard !slots[hand].wasUsed else {
                    slots[hand].wasUsed = false
                    continue
                }
                if slots[hand].key != 0 { slotOfKey[slots[hand].key] = nil }
                slots[hand].key = 0
                return hand
            }
        }
        slots.append(Slot(key: 0, buffer: .allocate(byteCount: pageSize, alignment: 16)))
        return slots.count - 1
    }
}
