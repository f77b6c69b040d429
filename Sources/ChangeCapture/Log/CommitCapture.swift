import SQLiteConnection

/// Turns the pages of each commit into its ``ChangeSet``, with the schema as of that commit.
package final class CommitCapture {
    private let limits: WatcherLimits
    private let decoder: CommitDecoder
    private let cursor: SnapshotCursor
    private var catalogs = CatalogLoader()
    private var pacing: VirtualColumnPacing

    /// Reads the schema and builds the page map as of `reader`.
    package init(_ reader: some PageReader, limits: WatcherLimits) throws(WatchError) {
        self.limits = limits
        pacing = VirtualColumnPacing(limit: limits.maxVirtualColumnTime, pauseFactor: limits.virtualColumnPauseFactor)
        cursor = try WatchError.wrap { () throws(SQLiteError) in try SnapshotCursor(reader) }
        var catalogs = CatalogLoader()
        let connection = cursor.connection
        let (catalog, _) = try WatchError.wrap { () throws(SQLiteError) in try catalogs.load(from: connection) }
        self.catalogs = catalogs
        do { decoder = try CommitDecoder(reader, catalog: catalog) } catch { throw .undecodable("\(error)") }
    }

    /// The tables that clients can see, as of the last commit.
    var tables: [TableDescription] { catalogs.schema.visibleTables.map(\.description) }

    /// The changes of a commit; empty when it left every table unchanged.
    ///
    /// - Parameters:
    ///   - pages: the pages of its frames, in any order and possibly repeated; or those that differ.
    ///   - evidence: which of the two `pages` are.
    ///   - before: the database as of the commit before.
    ///   - after: the database as of this one.
    ///   - level: the detail that is wanted of each row.
    package func changes(
        pages: [UInt32],
        evidence: CommitDecoder.Evidence,
        from before: some PageReader,
        to after: some PageReader,
        level: CaptureLevel
    ) throws(WatchError) -> ChangeSet {
        let start = ContinuousClock.now
        var tables: [TableRows]
        var events: [ChangeEvent] = []
        var transition = CommitDecoder.SchemaTransition.unchanged
        var redefined: [TableDescription] = []
        do throws(WALDecodeError) {
            if try decoder.touchesSchema(before: before, after: after, changedPages: pages) {
                cursor.move(to: after)
                do throws(SQLiteError) {
                    let (catalog, changes) = try catalogs.load(from: cursor.connection) { old, new, fields in
                        before.sharesRows(ofTree: old, withTree: new, in: after, fields: fields)
                    }
                    events = changes.map { .schema($0) }
                    transition = .changed(catalog, changes)
                    redefined = redefinedTables(changes, in: catalog)
                } catch {
                    throw WALDecodeError(page: 1, .unreadable("\(error)"))
                }
            }
            tables = try decoder.decode(
                before: before,
                after: after,
                changedPages: pages,
                evidence: evidence,
                schema: transition,
                level: level,
                limits: limits.transaction
            )
        } catch {
            throw .undecodable("\(error)")
        }
        if case .changed(_, let changes) = transition { askNewVirtualTables(&tables, changes, at: after) }
        for table in redefined {
            tables.removeAll { $0.table.name.isIdentical(to: table.name) }
            tables.append(TableRows(changedTable: table))
        }
        fillVirtualColumns(&tables)
        for table in tables { events.append(.rows(table)) }
        var changes = ChangeSet(origin: .external, events: events)
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        changes.decodingNanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        return changes
    }

    /// A new virtual table can have shadow tables with rows although it is empty, or shadow tables that existed before.
    private func askNewVirtualTables(
        _ tables: inout [TableRows],
        _ changes: [SchemaChange],
        at after: some PageReader
    ) {
        for case .created(let table) in changes where table.kind == .virtual {
            cursor.move(to: after)
            // A table of a missing module cannot be read; then the pages decide.
            guard let rows = try? cursor.connection.query("SELECT 1 FROM \(SQLName(table.name).quoted) LIMIT 1") else {
                continue
            }
            tables.removeAll { $0.table.name.isIdentical(to: table.name) }
            if !rows.isEmpty, catalogs.hasShadowTables(of: table) { tables.append(TableRows(changedTable: table)) }
        }
    }

    /// Tables with rows that read differently although the commit did not write them.
    private func redefinedTables(_ changes: [SchemaChange], in catalog: TreeCatalog) -> [TableDescription] {
        guard let records = catalogs.records else { return [] }
        // Skips new tables and those already examined: objects can come in a modification of their own.
        var seen: Set<SQLName> = []
        for case .created(let table) in changes { seen.insert(SQLName(table.name)) }
        func layout(_ name: String, in catalog: TreeCatalog) -> TableLayout? {
            catalog.tree(ofTable: SQLName(name)).flatMap { catalog.trees[$0].layout }
        }
        return changes.compactMap { change in
            guard case .modified(let change) = change, seen.insert(SQLName(change.table.name)).inserted,
                let after = layout(change.table.name, in: catalog), after.hasVirtualColumns,
                let before = layout(change.previousName ?? change.table.name, in: decoder.catalog),
                before.hasVirtualColumns, !before.table.sql.isIdentical(to: after.table.sql),
                VirtualColumns.areRedefined(
                    from: before,
                    to: after,
                    sources: change.columnSources,
                    reading: records
                )
            else { return nil }
            return change.table
        }
    }

    private func fillVirtualColumns(_ tables: inout [TableRows]) {
        guard let records = catalogs.records else { return }
        for place in tables.indices {
            // With less detail a row holds only its key.
            guard tables[place].detail == .values, !tables[place].rows.isEmpty,
                let tree = decoder.catalog.tree(ofTable: SQLName(tables[place].table.name)),
                let layout = decoder.catalog.trees[tree].layout, layout.hasVirtualColumns
            else { continue }
            VirtualColumns.fill(&tables[place], layout, reading: records, &pacing)
        }
    }
}

/// The state of a database in WAL mode after one commit, identified by its position in the write-ahead log.
package struct CommitMark: Hashable, Sendable {
    /// The generation of the log.
    package let salt: WALSalt
    /// The last frame of the commit; 0 when no frame of the log is valid.
    package let lastFrame: UInt32
    /// The size of the database in pages.
    package let pageCount: UInt32

    init(salt: WALSalt, lastFrame: UInt32, pageCount: UInt32) {
        self.salt = salt
        self.lastFrame = lastFrame
        self.pageCount = pageCount
    }

    init(_ reader: SnapshotReader) {
        self.init(salt: reader.salt, lastFrame: reader.lastFrame, pageCount: reader.pageCount)
    }

    /// Whether every frame of `header` is part of this state, if both are of one generation.
    func includes(_ header: WALIndexHeader) -> Bool { salt == header.salt && lastFrame >= header.maxFrame }
}
