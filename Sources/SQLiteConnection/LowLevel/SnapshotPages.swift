/// The pages of a database as of one moment, for a ``SnapshotConnection`` to read.
package protocol SnapshotPages: AnyObject {
    /// In bytes.
    var pageSize: Int { get }
    /// The size of the database; pages are numbered from 1.
    var pageCount: UInt32 { get }

    /// Copies the bytes of a page from `offset` on into `buffer`, which ends within the page; false when they cannot be
    /// read.
    func copyPage(_ number: UInt32, from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Bool
}
