package import SQLiteConnection

/// Walks a b-tree from its root; terminates without a crash on any bytes.
///
/// A b-tree is balanced, so its height tells which pages are leaves: they are listed without being read.
package struct TreeWalk {
    /// SQLite's own bound on the depth of a b-tree, with a margin.
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
        // No more pages than the database has: a cycle in the tree ends with an error.
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

/// Detects a cycle in a chain of pages without storing its pages: by Brent's method, after at most three times as many
/// steps as the chain has distinct pages. A chain as long as a file claims could take hours.
struct CycleGuard {
    private var anchor: UInt32
    private var steps: UInt64 = 0
    private var limit: UInt64 = 2

    /// - Parameter page: the first of the chain.
    init(from page: UInt32) { anchor = page }

    /// Whether the chain has visited this page before. Call with every page after the first.
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

/// Every b-tree of a database as of one commit: its root and how to read its cells.
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
        /// The virtual table that a shadow table belongs to.
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

/// The rowids of a table in order, read from its b-tree: for a table whose columns use every name of the rowid.
///
/// SQL cannot reach these rowids, and reading them needs the bytes of the whole database, so this is for databases up
/// to ``maxDatabaseBytes``.
package struct TreeRowids {
    /// The largest database that is copied for this purpose. 256 MiB.
    package static let maxDatabaseBytes = 256 << 20

    private let image: DatabaseImage
    private let leaves: [UInt32]
    private var leaf = 0
    private var cell = 0

    /// - Parameters:
    ///   - root: the first page of the table's b-tree.
    ///   - connection: a connection in the transaction in which the rows are read.
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
