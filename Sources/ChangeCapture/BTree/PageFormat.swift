/// The sizes from which a page's layout follows: how much of a payload is kept in its cell and how much overflows.
///
/// Source: [B-tree Cell Format](https://sqlite.org/fileformat2.html#b_tree_pages), where these are `U`, `X` and `M`.
package struct PageFormat: Hashable, Sendable {
    package let usableSize: Int
    /// Up to this size the payload of a table's leaf cell is kept whole.
    package let maxLocalInTable: Int
    /// Up to this size the payload of an index cell is kept whole.
    package let maxLocalInIndex: Int
    /// A payload that overflows keeps at least this much in its cell.
    package let minLocal: Int

    package init(usableSize: Int) {
        self.usableSize = usableSize
        maxLocalInTable = usableSize - 35
        maxLocalInIndex = (usableSize - 12) * 64 / 255 - 23
        minLocal = (usableSize - 12) * 32 / 255 - 23
    }

    /// The bytes of payload that an overflow page holds after the number of the next one.
    package var overflowCapacity: Int { usableSize - 4 }

    /// The bytes that a payload of `length` keeps in its cell.
    @inline(__always)
    package func localLength(of length: Int, isTable: Bool) -> Int {
        let limit = isTable ? maxLocalInTable : maxLocalInIndex
        guard length > limit else { return length }
        let surplus = minLocal + (length - minLocal) % overflowCapacity
        return surplus <= limit ? surplus : minLocal
    }
}
