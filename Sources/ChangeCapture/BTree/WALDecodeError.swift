/// Bytes of a database or of its write-ahead log that are not what the file format allows.
///
/// Names the page and what was wrong with it; never carries a row's values.
package struct WALDecodeError: Error, Hashable, CustomStringConvertible {
    package enum Problem: Hashable, Sendable {
        /// The page could not be read; the reason is for a log.
        case unreadable(String)
        /// The page's number is 0 or past the end of the database.
        case pageOutOfRange
        /// A database header or a header of the log; what was expected.
        case badHeader(String)
        /// The first byte of a b-tree page is none of 2, 5, 10, 13.
        case unknownPageType(UInt8)
        /// A page of an index where a table's was expected, or the reverse.
        case wrongTreeKind(UInt8)
        /// The page says that it has more cells than fit on it.
        case cellCountTooLarge(Int)
        /// The cell with this index runs past the page, or its lengths cannot be read.
        case badCell(Int)
        /// Rowids that do not ascend from cell to cell and from leaf to leaf.
        case rowidsOutOfOrder
        /// Rows of a `WITHOUT ROWID` table that have the same key.
        case duplicateKeys
        /// An overflow chain that ends early, runs in a circle or leaves the database.
        case badOverflowChain
        /// A record's header does not describe its body.
        case badRecord
        /// A b-tree deeper than any database can be: its pages refer to one another in a circle.
        case treeTooDeep
        /// Two places of the database claim the page.
        case pageInTwoPlaces
        /// A page joined a tree although the commit did not write it.
        case unwrittenPageJoinedTree
        /// The list of free pages runs in a circle or leaves the database.
        case badFreelist
        /// An entry of the pointer map with a type outside 1…5.
        case badPointerMapEntry(UInt8)
        /// A payload larger than SQLite's own limit or than memory can hold.
        case payloadTooLarge(UInt64)
    }

    /// The page, or for a header of the log the frame; 0 where neither applies.
    package var page: UInt32
    package var problem: Problem

    package init(page: UInt32, _ problem: Problem) {
        self.page = page
        self.problem = problem
    }

    package var description: String {
        let what =
            switch problem {
            case .unreadable(let reason): "cannot be read: \(reason)"
            case .pageOutOfRange: "is not a page of the database"
            case .badHeader(let expected): "header: expected \(expected)"
            case .unknownPageType(let byte): "type byte \(byte) is none of 2, 5, 10, 13"
            case .wrongTreeKind(let byte): "type byte \(byte) does not belong in this kind of tree"
            case .cellCountTooLarge(let count): "claims \(count) cells, more than fit"
            case .badCell(let index): "cell \(index) runs past the page"
            case .rowidsOutOfOrder: "rowids do not ascend"
            case .duplicateKeys: "several rows have the same key"
            case .badOverflowChain: "overflow chain is broken"
            case .badRecord: "a record's header does not describe its body"
            case .treeTooDeep: "b-tree is deeper than any database's can be"
            case .pageInTwoPlaces: "is claimed by two places of the database"
            case .unwrittenPageJoinedTree: "joined a tree without having been written"
            case .badFreelist: "list of free pages is broken"
            case .badPointerMapEntry(let type): "pointer map entry of type \(type), expected 1 to 5"
            case .payloadTooLarge(let size): "payload of \(size) bytes is larger than any row can be"
            }
        return "page \(page): \(what)"
    }
}
