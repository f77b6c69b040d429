extension TableComparison {
    /// The virtual tables whose content, which is in their shadow tables, is not what it was.
    ///
    /// Of an overflow page alone nothing is said: no module writes one without a leaf.
    func changedVirtualTables(_ commit: CommitPages) throws(WALDecodeError) -> [TableDescription] {
        var names: Set<SQLName> = []
        for page in commit.pages {
            let old = page.oldTree < 0 ? nil : oldCatalog.trees[Int(page.oldTree)].owner.map { SQLName($0.name) }
            let new = page.newTree < 0 ? nil : newCatalog.trees[Int(page.newTree)].owner.map { SQLName($0.name) }
            if old == nil, new == nil { continue }
            // SQLite repeats frames to fill up a sector.
            if old == new, try before.isPage(page.number, equalIn: after) { continue }
            names.formUnion([old, new].compactMap(\.self))
        }
        for page in commit.freed {
            if let owner = oldCatalog.trees[Int(page.oldTree)].owner { names.insert(SQLName(owner.name)) }
        }
        if names.isEmpty { return [] }
        var changed: [SQLName: TableDescription] = [:]
        for case let owner? in newCatalog.trees.lazy.map(\.owner) where names.contains(SQLName(owner.name)) {
            changed[SQLName(owner.name)] = owner
        }
        return changed.sorted { $0.key < $1.key }.map(\.value)
    }
}
