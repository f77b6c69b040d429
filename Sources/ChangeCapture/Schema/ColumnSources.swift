/// Finds out what `ALTER TABLE` did to the columns of a table.
package enum ColumnSources {
    /// For each column after: its position before, nil for a new one. Nil when all columns kept name and position.
    ///
    /// One `ALTER TABLE` adds a column at the end, drops one, or renames one in its place. Several of them that are seen as
    /// one can look like something else: names decide first, then position.
    package static func infer(from before: [ColumnDescription], to after: [ColumnDescription]) -> [Int?]? {
        let old = before.map { SQLName($0.name) }
        let new = after.map { SQLName($0.name) }
        if old == new { return nil }
        var positions: [SQLName: Int] = [:]
        for (position, name) in old.enumerated() { positions[name] = position }
        var sources = new.map { positions[$0] }
        // A rename keeps the number of columns, and the definition of the renamed one.
        if old.count == new.count {
            let taken = Set(sources.compactMap { $0 })
            for position in sources.indices where sources[position] == nil && !taken.contains(position) {
                if before[position].hasSameDefinition(as: after[position]) { sources[position] = position }
            }
        }
        return sources
    }
}
