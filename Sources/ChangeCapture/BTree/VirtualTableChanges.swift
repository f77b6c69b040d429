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
            if old == new, try isUnchanged(page.number) { continue }
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

    /// SQLite repeats frames to fill up a sector.
    private func isUnchanged(_ number: UInt32) throws(WALDecodeError) -> Bool {
        guard number <= before.pageCount, number <= after.pageCount else { return false }
        return try before.withPage(number) { (old) throws(WALDecodeError) in
            try after.withPage(number) { (new) throws(WALDecodeError) in bytesAreEqual(old, 0, new, 0, old.count) }
        }
    }
}
