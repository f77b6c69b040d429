package import SQLiteConnection

/// The rowids of a table in their order, read from its b-tree: for a table whose columns have taken every name of the rowid.
///
/// No SQL reaches them then, and nothing but the whole database's bytes has them, so this is for databases up to
/// ``maxDatabaseBytes``.
package struct TreeRowids {
    /// The largest database that is copied for it. 256 MiB.
    package static let maxDatabaseBytes = 256 << 20

    private let image: DatabaseImage
    private let leaves: [UInt32]
    private var leaf = 0
    private var cell = 0

    /// - Parameters:
    ///   - root: the first page of the table's b-tree.
    ///   - connection: in the transaction in which the rows are read.
    /// - Returns: nil for a database that is too large.
    package init?(root: UInt32, of connection: Connection) throws {
        guard let bytes = try connection.serialized(maxBytes: Self.maxDatabaseBytes) else { return nil }
        try self.init(root: root, in: DatabaseImage(bytes))
    }

    init(root: UInt32, in image: DatabaseImage) throws(WALDecodeError) {
        self.image = image
        var leaves: [UInt32] = []
        try TreeWalk(root: root, in: image).forEachPage(in: image) { (page, _, level) in
            if level == 0 { leaves.append(page) }
        }
        self.leaves = leaves
    }

    /// The next one; nil at the end.
    package mutating func next() throws(WALDecodeError) -> Int64? {
        while leaf < leaves.count {
            let index = cell
            let rowid: Int64? = try image.withTreePage(leaves[leaf], format: image.format) {
                (page) throws(WALDecodeError) in
                guard page.kind == .leafTable else {
                    throw WALDecodeError(page: page.number, .wrongTreeKind(page.kind.rawValue))
                }
                return index < page.cellCount ? try page.rowid(at: index) : nil
            }
            if let rowid {
                cell += 1
                return rowid
            }
            leaf += 1
            cell = 0
        }
        return nil
    }
}
