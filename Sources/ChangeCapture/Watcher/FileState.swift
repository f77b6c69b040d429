import SQLiteConnection

/// What of a file's first page tells that it changed.
struct FileState: Equatable {
    var header: DatabaseHeader
    /// Goes up by one with each commit, unless somebody used the file exclusively for several.
    var changeCounter: UInt32
    var isWAL: Bool
    var pageCount: UInt32

    init(_ file: DatabaseFile) throws(SQLiteError) {
        self = try withUnsafeTemporaryAllocation(byteCount: DatabaseHeader.byteCount, alignment: 8) { buffer in
            Result { () throws(SQLiteError) in
                try file.read(into: buffer, at: 0)
                let bytes = UnsafeRawBufferPointer(buffer)
                // Nothing was ever written, or page 1 is still to come in a first commit that is under way.
                guard bytes.contains(where: { $0 != 0 }) else { return .empty }
                return try Self(bytes, file)
            }
        }.get()
    }

    /// A file without a byte is a database without a page.
    private static let empty = FileState(header: .empty, changeCounter: 0, isWAL: false, pageCount: 0)

    private init(header: DatabaseHeader, changeCounter: UInt32, isWAL: Bool, pageCount: UInt32) {
        self.header = header
        self.changeCounter = changeCounter
        self.isWAL = isWAL
        self.pageCount = pageCount
    }

    /// Whether pages of the two cannot be compared.
    func isOfAnotherLayout(than other: FileState) -> Bool {
        header.pageSize != other.header.pageSize || header.usableSize != other.header.usableSize
            || header.encoding != other.header.encoding
    }

    private init(_ bytes: UnsafeRawBufferPointer, _ file: DatabaseFile) throws(SQLiteError) {
        do { header = try DatabaseHeader(bytes) } catch {
            throw SQLiteError(code: .notADatabase, message: "\(error)")
        }
        changeCounter = bytes.bigEndian32(at: 24)
        // The version that a reader must understand.
        isWAL = bytes[19] == 2
        let inFile = UInt32(clamping: try file.byteCount() / Int64(header.pageSize))
        // "The in-header database size is only considered to be valid if it is non-zero and when the 4-byte change counter
        // exactly matches the 4-byte version-valid-for number": sqlite.org/fileformat2.html
        let isValid = header.pageCount > 0 && bytes.bigEndian32(at: 92) == changeCounter
        pageCount = isValid ? min(header.pageCount, inFile) : inFile
    }
}
