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
