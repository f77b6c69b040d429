import SQLiteConnection

/// A private copy of a small database, with which its current state is compared.
///
/// For files with a rollback journal, which keep no old page images. One thread at a time.
final class ShadowCopy {
    /// The bytes read at a time.
    static let chunkByteCount = 1 << 20

    let pageSize: Int
    let usableSize: Int
    private(set) var pageCount: UInt32
    private var bytes: [UInt8]

    /// Reads the whole file. The caller holds a lock that keeps writers out.
    init(of file: DatabaseFile, header: DatabaseHeader, pageCount: UInt32) throws(SQLiteError) {
        pageSize = header.pageSize
        usableSize = header.usableSize
        self.pageCount = pageCount
        bytes = [UInt8](repeating: 0, count: Int(pageCount) * pageSize)
        var start = 0
        while start < bytes.count {
            let end = min(start + Self.chunkByteCount, bytes.count)
            try Self.read(file, into: &bytes, start..<end, at: Int64(start))
            start = end
        }
    }

    /// Continues the comparison with the file at the position of `changes`, for at most so many bytes, and adds the
    /// pages that differ. True when the end of the file is reached. The caller holds a lock that keeps writers out.
    func compare(
        with file: DatabaseFile,
        into changes: inout ShadowChanges,
        atMost byteCount: Int
    ) throws(SQLiteError) -> Bool {
        let pagesPerChunk = max(1, Self.chunkByteCount / pageSize)
        let end = min(Int(changes.pageCount), changes.comparedPageCount + max(1, byteCount / pageSize))
        var chunk = [UInt8](repeating: 0, count: pagesPerChunk * pageSize)
        while changes.comparedPageCount < end {
            let first = changes.comparedPageCount
            let count = min(pagesPerChunk, end - first)
            try Self.read(file, into: &chunk, 0..<count * pageSize, at: Int64(first * pageSize))
            for index in 0..<count where !isSame(first + index, chunk, at: index * pageSize) {
                changes.pages[UInt32(first + index + 1)] = Array(chunk[index * pageSize..<(index + 1) * pageSize])
            }
            changes.comparedPageCount = first + count
        }
        return changes.comparedPageCount == Int(changes.pageCount)
    }

    func apply(_ changes: ShadowChanges) {
        pageCount = changes.pageCount
        let count = Int(pageCount) * pageSize
        if bytes.count > count { bytes.removeLast(bytes.count - count) }
        if bytes.count < count { bytes.append(contentsOf: repeatElement(0, count: count - bytes.count)) }
        for (number, page) in changes.pages {
            let start = (Int(number) - 1) * pageSize
            bytes.replaceSubrange(start..<start + pageSize, with: page)
        }
    }

    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        let start = (Int(number) - 1) * pageSize
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(WALDecodeError) in
                try body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + pageSize]))
            }
        }
        return try result.get()
    }

    private func isSame(_ index: Int, _ other: [UInt8], at offset: Int) -> Bool {
        let start = index * pageSize
        guard start + pageSize <= bytes.count else { return false }
        return bytes.withUnsafeBytes { mine in
            other.withUnsafeBytes { theirs in bytesAreEqual(mine, start, theirs, offset, pageSize) }
        }
    }

    private static func read(
        _ file: DatabaseFile,
        into bytes: inout [UInt8],
        _ range: Range<Int>,
        at offset: Int64
    ) throws(SQLiteError) {
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(SQLiteError) in
                try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[range]), at: offset)
            }
        }
        try result.get()
    }
}

/// The pages in which a database differs from its ``ShadowCopy``.
struct ShadowChanges {
    var pageCount: UInt32
    /// The progress of the comparison, in pages.
    var comparedPageCount = 0
    var pages: [UInt32: [UInt8]] = [:]
}

/// A ``ShadowCopy``, optionally with changes laid over it.
struct ShadowReader: PageReader {
    let copy: ShadowCopy
    let changes: ShadowChanges?

    var pageSize: Int { copy.pageSize }
    var usableSize: Int { copy.usableSize }
    var pageCount: UInt32 { changes?.pageCount ?? copy.pageCount }

    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        guard number > 0, number <= pageCount else { throw WALDecodeError(page: number, .pageOutOfRange) }
        guard let page = changes?.pages[number] else { return try copy.withPage(number, body) }
        let result = page.withUnsafeBytes { bytes in
            Result { () throws(WALDecodeError) in try body(bytes) }
        }
        return try result.get()
    }
}

/// Decides up to which file size a ``ShadowCopy`` is kept.
struct ShadowLimit {
    let maxBytes: Int

    var megabytes: Int { maxBytes >> 20 }

    func isExceeded(by state: FileState) -> Bool { byteCount(of: state) > maxBytes }

    /// Well below the limit, so that a file whose size varies around it does not begin a new epoch repeatedly.
    func allowsCopyAgain(of state: FileState) -> Bool { byteCount(of: state) <= maxBytes / 4 * 3 }

    private func byteCount(of state: FileState) -> Int { Int(state.pageCount) * state.header.pageSize }
}
