import SQLiteConnection

/// Turns the pages of each commit into its ``ChangeSet``, with the schema that the database had at that very commit.
final class CommitCapture {
    private let limits: WatcherLimits
    private let decoder: CommitDecoder
    private let cursor: SnapshotCursor
    private var catalogs: CatalogLoader

    /// Reads the schema and builds the page map as of `reader`.
    init(_ reader: some PageReader, limits: WatcherLimits) throws(WatchError) {
        self.limits = limits
        cursor = try WatchError.wrap { () throws(SQLiteError) in try SnapshotCursor(reader) }
        var catalogs = try WatchError.wrap { () throws(SQLiteError) in try CatalogLoader() }
        let connection = cursor.connection
        let (catalog, _) = try WatchError.wrap { () throws(SQLiteError) in try catalogs.load(from: connection) }
        self.catalogs = catalogs
        do { decoder = try CommitDecoder(reader, catalog: catalog) } catch { throw .undecodable("\(error)") }
    }

    /// What a commit changed; empty when it left every table as it was.
    ///
    /// - Parameters:
    ///   - pages: the pages of its frames, in any order, repeats included; or those that differ.
    ///   - evidence: which of the two.
    ///   - before: the database as of the commit before.
    ///   - after: the database as of this one.
    ///   - level: how much of each row is wanted.
    func changes(
        pages: [UInt32],
        evidence: CommitDecoder.Evidence,
        from before: some PageReader,
        to after: some PageReader,
        level: CaptureLevel
    ) throws(WatchError) -> ChangeSet {
        var tables: [TableRows]
        var events: [ChangeEvent] = []
        var transition = CommitDecoder.SchemaTransition.unchanged
        do throws(WALDecodeError) {
            if try decoder.touchesSchema(before: before, after: after, changedPages: pages) {
                cursor.move(to: after)
                do throws(SQLiteError) {
                    let (catalog, changes) = try catalogs.load(from: cursor.connection)
                    events = changes.map { .schema($0) }
                    transition = .changed(catalog, changes)
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
                limits: limits.capture
            )
        } catch {
            throw .undecodable("\(error)")
        }
        if case .changed(_, let changes) = transition { dropEmptyVirtualTables(&tables, changes, at: after) }
        fillVirtualColumns(&tables, schema: transition, from: before, to: after)
        for table in tables { events.append(.rows(table)) }
        return ChangeSet(origin: .external, events: events)
    }

    /// A virtual table that is new has shadow tables that are not empty even when it is.
    private func dropEmptyVirtualTables(
        _ tables: inout [TableRows],
        _ changes: [SchemaChange],
        at after: some PageReader
    ) {
        for case .created(let table) in changes where table.kind == .virtual {
            guard let place = tables.firstIndex(where: { $0.table.name.isIdentical(to: table.name) }) else { continue }
            cursor.move(to: after)
            // A module that is not there cannot be asked.
            let rows = try? cursor.connection.query("SELECT 1 FROM \(SQLName(table.name).quoted) LIMIT 1")
            if rows?.isEmpty == true { tables.remove(at: place) }
        }
    }

    /// A value that cannot be had stays NULL: the column's function or collation exists only in the writer's program.
    private func fillVirtualColumns(
        _ tables: inout [TableRows],
        schema: CommitDecoder.SchemaTransition,
        from before: some PageReader,
        to after: some PageReader
    ) {
        let places = tables.indices.filter { index in
            // With less detail a row holds its key alone.
            tables[index].detail == .values && !tables[index].rows.isEmpty
                && tables[index].table.columns.contains { $0.visibility == .generatedVirtual }
        }
        guard !places.isEmpty else { return }
        cursor.move(to: after)
        for place in places {
            try? VirtualColumns.fill(
                \.after,
                of: &tables[place],
                named: tables[place].table.name,
                from: cursor.connection
            )
        }
        var previousNames: [String: String] = [:]
        if case .changed(_, let changes) = schema {
            for case .modified(let change) in changes { previousNames[change.table.name] = change.previousName }
        }
        cursor.move(to: before)
        for place in places {
            let name = tables[place].table.name
            try? VirtualColumns.fill(
                \.before,
                of: &tables[place],
                named: previousNames[name] ?? name,
                from: cursor.connection
            )
        }
    }
}
