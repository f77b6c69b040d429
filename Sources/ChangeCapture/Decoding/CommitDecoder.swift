/// Decodes commits one after the other: from the pages that a commit wrote to the rows that it changed.
///
/// Needs only a view of the database before the commit and one after it. The order of the rows within a commit, and
/// changes that a transaction made and undid, are not visible: the result is the net effect. Not `Sendable`: one thread
/// at a time.
///
/// After an error the decoder's state is invalid: make a new one at a later commit.
package final class CommitDecoder {
    /// The effect of a commit on the schema.
    package enum SchemaTransition {
        case unchanged
        /// The trees after the commit, and the changes as they are published: these pair the tables of both sides.
        case changed(TreeCatalog, [SchemaChange])
    }

    /// How the list of a commit's changed pages was determined.
    package enum Evidence: Sendable {
        /// They are the pages that it wrote: the frames of a log, or more.
        case frames
        /// They are those whose bytes differ. A page can have been freed and used again for the same content: then it
        /// is in another place of the database, and nothing shows that it was written.
        case differences
    }

    package struct Statistics: Sendable, Hashable {
        package var commits = 0
        /// Commits that wrote pages without changing any.
        package var emptyCommits = 0
        /// Pages that left their trees without being written.
        package var freedPages = 0
        /// How often the whole database was walked to find the owners of overflow pages.
        package var overflowScans = 0
        /// Written pages whose role could not be determined. Always 0 for a sound database.
        package var unexplainedPages = 0
    }

    /// The trees as of the last commit decoded.
    package private(set) var catalog: TreeCatalog
    /// The map as of the last commit decoded.
    package private(set) var pageMap: PageMap
    package private(set) var statistics = Statistics()
    /// Pairs every table with itself: for commits that leave the schema unchanged, which nearly all do.
    private var unchangedPairing: TablePairing
    private var emitter = RowEmitter()
    private var owners = OverflowOwners()

    /// Builds the page map of the current database.
    package init(_ reader: some PageReader, catalog: TreeCatalog) throws(WALDecodeError) {
        self.catalog = catalog
        unchangedPairing = TablePairing(unchanged: catalog)
        pageMap = try PageMap.build(from: reader, catalog: catalog)
    }

    /// Whether a commit changed the schema table: then read its catalog before decoding the commit.
    package func touchesSchema(
        before: some PageReader,
        after: some PageReader,
        changedPages: [UInt32]
    ) throws(WALDecodeError) -> Bool {
        // An empty file becomes a database.
        guard before.pageCount > 0 else { return after.pageCount > 0 }
        for number in changedPages where pageMap.tree(of: number) == 0 {
            guard number <= before.pageCount, number <= after.pageCount else { return true }
            let isSame = try before.withPage(number) { (old) throws(WALDecodeError) in
                try after.withPage(number) { (new) throws(WALDecodeError) in
                    guard number == 1 else { return bytesAreEqual(old, 0, new, 0, old.count) }
                    // Only the schema cookie matters in the header: it changes with every change of the schema.
                    let start = DatabaseHeader.byteCount
                    return bytesAreEqual(old, 40, new, 40, 4)
                        && bytesAreEqual(old, start, new, start, old.count - start)
                }
            }
            if !isSame { return true }
        }
        return false
    }

    /// Decodes a commit and keeps as much of its rows as `level` asks for and the limits allow.
    package func decode(
        before: some PageReader,
        after: some PageReader,
        changedPages: [UInt32],
        evidence: Evidence = .frames,
        schema: SchemaTransition = .unchanged,
        level: CaptureLevel = .values,
        limits: CaptureLimits = CaptureLimits()
    ) throws(WALDecodeError) -> [TableRows] {
        var collector = RowCollector(level: level, limits: limits)
        try decode(
            before: before,
            after: after,
            changedPages: changedPages,
            evidence: evidence,
            schema: schema,
            into: &collector
        )
        return collector.finish()
    }

    /// Decodes a commit and passes every row to the sink as it is found.
    ///
    /// `changedPages` are the pages of the commit's frames, or those that differ, in any order; duplicates are allowed.
    package func decode(
        before: some PageReader,
        after: some PageReader,
        changedPages: [UInt32],
        evidence: Evidence = .frames,
        schema: SchemaTransition = .unchanged,
        into sink: inout some RowSink
    ) throws(WALDecodeError) {
        statistics.commits += 1
        var step: PageMap.SchemaStep?
        if case .changed(let newCatalog, let changes) = schema {
            let pairing = TablePairing(before: catalog, after: newCatalog, changes: changes)
            step = PageMap.SchemaStep(before: catalog, after: newCatalog, pairing: pairing)
        } else if try isEmpty(before: before, after: after, changedPages: changedPages) {
            statistics.emptyCommits += 1
            return
        }
        let pageCount = max(before.pageCount, after.pageCount)
        try pageMap.check(pageCount: pageCount)
        emitter.commit.begin(changedPages, pageCount: pageCount)
        try pageMap.advance(&emitter.commit, before: before, after: after, schema: step, evidence: evidence)
        statistics.freedPages += emitter.commit.freed.count
        let header = try after.withPage(1) { (bytes) throws(WALDecodeError) in try DatabaseHeader(bytes) }
        let pointerMap =
            header.hasPointerMap ? PointerMap(pageSize: after.pageSize, usableSize: after.usableSize) : nil
        emitter.commit.noteUnexplained(pageCount: after.pageCount, pointerMap: pointerMap)

        let comparison = TableComparison(
            before: before,
            after: after,
            oldCatalog: catalog,
            unchanged: unchangedPairing,
            schema: step
        )
        try comparison.compareTables(&emitter, &sink)
        for table in try comparison.changedVirtualTables(emitter.commit) { sink.noteChange(of: table) }
        try comparison.explainRest(&emitter, pageMap, pointerMap, &owners, &statistics, &sink)
        if step != nil {
            catalog = comparison.newCatalog
            unchangedPairing = TablePairing(unchanged: catalog)
        }
        try owners.update(emitter.commit, in: after)
    }

    /// The pages whose position in the map differs from a fresh walk of the database: always empty.
    package func verify(against reader: some PageReader) throws(WALDecodeError) -> [UInt32] {
        pageMap.differences(from: try PageMap.build(from: reader, catalog: catalog))
    }

    /// Whether every page of the commit is unchanged. SQLite repeats frames to fill up a sector.
    ///
    /// A single unchanged page counts as a change: a page that left the freelist can look as it did when it was freed.
    private func isEmpty(
        before: some PageReader,
        after: some PageReader,
        changedPages: [UInt32]
    ) throws(WALDecodeError) -> Bool {
        guard before.pageCount == after.pageCount else { return false }
        for number in changedPages where number > 0 && number <= after.pageCount {
            if try !before.isPage(number, equalIn: after) { return false }
        }
        return true
    }
}

/// The bytes of a database or of its write-ahead log violate the file format.
///
/// Names the page and the violation; never contains a row's values.
package struct WALDecodeError: Error, Hashable, CustomStringConvertible {
    package enum Problem: Hashable, Sendable {
        /// The page could not be read; the reason is for logs.
        case unreadable(String)
        /// The page's number is 0 or past the end of the database.
        case pageOutOfRange
        /// An invalid database header or log header; the value is what was expected.
        case badHeader(String)
        /// The first byte of a b-tree page is none of 2, 5, 10, 13.
        case unknownPageType(UInt8)
        /// A page of an index where a table's was expected, or vice versa.
        case wrongTreeKind(UInt8)
        /// The page header claims more cells than fit on the page.
        case cellCountTooLarge(Int)
        /// The cell with this index runs past the page, or its lengths cannot be read.
        case badCell(Int)
        /// Rowids that do not ascend from cell to cell and from leaf to leaf.
        case rowidsOutOfOrder
        /// Rows of a `WITHOUT ROWID` table that have the same key.
        case duplicateKeys
        /// An overflow chain that ends early, is circular or leaves the database.
        case badOverflowChain
        /// A record's header does not match its body.
        case badRecord
        /// A b-tree deeper than any database can have: its pages form a cycle.
        case treeTooDeep
        /// Two places of the database claim the page.
        case pageInTwoPlaces
        /// A page joined a tree although the commit did not write it.
        case unwrittenPageJoinedTree
        /// The freelist is circular or leaves the database.
        case badFreelist
        /// An entry of the pointer map with a type outside 1…5.
        case badPointerMapEntry(UInt8)
        /// A payload larger than SQLite's own limit or than memory can hold.
        case payloadTooLarge(UInt64)
    }

    /// The page number, or for a header of the log the frame number; 0 where neither applies.
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
            case .unwrittenPageJoinedTree: "joined a tree without being written"
            case .badFreelist: "list of free pages is broken"
            case .badPointerMapEntry(let type): "pointer map entry of type \(type), expected 1 to 5"
            case .payloadTooLarge(let size): "payload of \(size) bytes is larger than any row can be"
            }
        return "page \(page): \(what)"
    }
}
