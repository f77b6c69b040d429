package import SQLiteConnection

/// Walks a b-tree from its root, on any bytes without end or crash.
///
/// A b-tree is balanced, so that its height tells which pages are leaves: they are named without being read.
package struct TreeWalk {
    /// SQLite's own bound on the depth of a b-tree, with room.
    package static let maxHeight = 40

    package let root: UInt32
    /// The number of levels of interior pages above the leaves.
    package let height: Int

    /// Descends along the left edge to find the height.
    package init(root: UInt32, in reader: some PageReader) throws(WALDecodeError) {
        let format = reader.format
        var height = 0
        var number = root
        while let child = try reader.withTreePage(
            number,
            format: format,
            { (page) throws(WALDecodeError) in try page.firstChild() }
        ) {
            height += 1
            guard height <= Self.maxHeight else { throw WALDecodeError(page: root, .treeTooDeep) }
            number = child
        }
        self.root = root
        self.height = height
    }

    /// Calls `body` with every page, its parent (0 for the root) and the number of levels below it: parents before
    /// children, and leaves from left to right.
    package func forEachPage(
        in reader: some PageReader,
        _ body: (_ page: UInt32, _ parent: UInt32, _ level: Int) throws(WALDecodeError) -> Void
    ) throws(WALDecodeError) {
        let format = reader.format
        // No more pages than the database has: a circle in the tree ends with an error.
        var remaining = Int(reader.pageCount)
        var stack: [(page: UInt32, parent: UInt32, level: Int)] = [(root, 0, height)]
        while let next = stack.popLast() {
            guard remaining > 0 else { throw WALDecodeError(page: root, .pageInTwoPlaces) }
            remaining -= 1
            try body(next.page, next.parent, next.level)
            guard next.level > 0 else { continue }
            let first = stack.count
            try reader.withTreePage(next.page, format: format) { (page) throws(WALDecodeError) in
                guard page.kind.isInterior else {
                    throw WALDecodeError(page: next.page, .wrongTreeKind(page.kind.rawValue))
                }
                try page.forEachChild { (child) throws(WALDecodeError) in
                    guard child > 1, child <= reader.pageCount else {
                        throw WALDecodeError(page: child, .pageOutOfRange)
                    }
                    stack.append((child, next.page, next.level - 1))
                }
            }
            stack[first...].reverse()
        }
    }
}

/// Notices that a chain of pages runs in a circle, without remembering its pages: by Brent's method, after at most three
/// times as many steps as the chain has different pages. A chain as long as a file claims to be could take hours.
struct CycleGuard {
    private var anchor: UInt32
    private var steps: UInt64 = 0
    private var limit: UInt64 = 2

    /// - Parameter page: the first of the chain.
    init(from page: UInt32) { anchor = page }

    /// Whether the chain has been at this page before. Call with every page after the first.
    mutating func isRepeated(_ page: UInt32) -> Bool {
        if page == anchor { return true }
        steps += 1
        if steps == limit {
            anchor = page
            limit *= 2
        }
        return false
    }
}

/// Every b-tree of a database as of one commit: where its root is and how its cells are to be read.
///
/// Immutable, and compared by identity: two commits with the same schema share one catalog.
package final class TreeCatalog: Sendable {
    package enum Kind: Sendable, Hashable {
        /// A table b-tree: rows in the leaves, in order of rowid.
        case rowidTable
        /// An index b-tree that is a `WITHOUT ROWID` table: rows on leaves and interior pages.
        case withoutRowidTable
        case index
    }

    package struct Tree: Sendable {
        package var rootPage: UInt32
        package var kind: Kind
        /// How to read the rows; nil for a tree whose rows are not reported: indexes, `sqlite_…` tables, shadow tables.
        package var layout: TableLayout?
        /// The virtual table whose content a shadow table is part of.
        package var owner: TableDescription?

        package init(rootPage: UInt32, kind: Kind, layout: TableLayout?, owner: TableDescription? = nil) {
            self.rootPage = rootPage
            self.kind = kind
            self.layout = layout
            self.owner = owner
        }
    }

    package let encoding: TextEncoding
    /// The schema table, root page 1, comes first.
    package let trees: [Tree]
    private let treeOfTable: [SQLName: Int]

    /// Takes every row of `sqlite_schema` with a root page above 0, in any order; adds the schema table itself.
    package init(encoding: TextEncoding, trees: [Tree]) {
        self.encoding = encoding
        self.trees = [Tree(rootPage: 1, kind: .rowidTable, layout: nil)] + trees.filter { $0.rootPage > 1 }
        var treeOfTable: [SQLName: Int] = [:]
        for (index, tree) in self.trees.enumerated() {
            if let name = tree.layout?.table.name { treeOfTable[SQLName(name)] = index }
        }
        self.treeOfTable = treeOfTable
    }

    /// The position in ``trees`` of the reported table.
    package func tree(ofTable name: SQLName) -> Int? { treeOfTable[name] }
}

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
