/// Finds out what `ALTER TABLE` did to the columns of a table.
package enum ColumnSources {
    /// For each column after: its position before, nil for a new one. Nil when all columns kept name and position.
    ///
    /// One `ALTER TABLE` adds a column at the end, drops one, or renames one in its place. Several of them that are seen as
    /// one can look like something else: names decide first, which SQLite compares without regard to the case of ASCII
    /// letters; but a VIRTUAL column keeps no values that another one could have. A column whose name is new is then taken for an old one whose name is gone, if that stood between the same
    /// neighbours and has the same definition. Where that is a mistake, the rows are told as they are under it.
    package static func infer(from before: [ColumnDescription], to after: [ColumnDescription]) -> [Int?]? {
        if before.elementsEqual(after, by: { $0.name.isIdentical(to: $1.name) && $0.isVirtual == $1.isVirtual }) {
            return nil
        }
        var positions: [SQLName: Int] = [:]
        for (position, column) in before.enumerated() { positions[SQLName(column.name).caseFolded] = position }
        var sources = after.map { column in
            positions[SQLName(column.name).caseFolded].flatMap { before[$0].isVirtual == column.isVirtual ? $0 : nil }
        }
        let kept = sources.compactMap(\.self)
        // Tables that were made anew can have their columns in any order.
        guard zip(kept, kept.dropFirst()).allSatisfy({ $0 < $1 }) else { return sources }
        var next = 0
        for position in sources.indices {
            if let source = sources[position] {
                next = source + 1
                continue
            }
            let end = sources[position...].lazy.compactMap(\.self).first ?? before.count
            guard let source = (next..<end).first(where: { before[$0].hasSameDefinition(as: after[position]) }) else {
                continue
            }
            sources[position] = source
            next = source + 1
        }
        return sources
    }
}

extension ColumnDescription {
    fileprivate var isVirtual: Bool { visibility == .generatedVirtual }
}
