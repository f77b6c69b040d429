/// Which table of the schema before a commit is which table after it.
package struct TablePairing: Sendable {
    /// Positions in ``TreeCatalog/trees`` before the commit, for each tree after it; nil for one that was created or is not
    /// reported.
    package let oldTree: [Int?]
    /// The reverse.
    package let newTree: [Int?]
    /// For each tree after the commit whose columns changed: where each column comes from.
    package let columnSources: [Int: [Int?]]

    /// The schema did not change.
    package init(unchanged catalog: TreeCatalog) {
        let pairs = catalog.trees.indices.map { catalog.trees[$0].layout == nil ? nil : Optional($0) }
        oldTree = pairs
        newTree = pairs
        columnSources = [:]
    }

    /// Pairs the tables as the published schema changes say, so that a table is never both created and updated.
    package init(before: TreeCatalog, after: TreeCatalog, changes: [SchemaChange]) {
        var created: Set<SQLName> = []
        var dropped: Set<SQLName> = []
        var modified: [SQLName: SchemaChange.Modification] = [:]
        for change in changes {
            switch change {
            case .created(let table): created.insert(SQLName(table.name))
            case .dropped(let table): dropped.insert(SQLName(table.name))
            case .modified(let modification):
                // Objects that come later say nothing of the table itself.
                let name = SQLName(modification.table.name)
                modified[name] = modified[name] ?? modification
            }
        }
        var oldTree = [Int?](repeating: nil, count: after.trees.count)
        var newTree = [Int?](repeating: nil, count: before.trees.count)
        var columnSources: [Int: [Int?]] = [:]
        for (new, tree) in after.trees.enumerated() {
            guard let name = tree.layout.map({ SQLName($0.table.name) }), !created.contains(name) else { continue }
            let previousName = modified[name]?.previousName.map(SQLName.init)
            // The name of a dropped table can be taken by another that was renamed, not by itself.
            guard previousName != nil || !dropped.contains(name) else { continue }
            guard let old = before.tree(ofTable: previousName ?? name) else { continue }
            oldTree[new] = old
            newTree[old] = new
            columnSources[new] = modified[name]?.columnSources
        }
        self.columnSources = columnSources
        self.oldTree = oldTree
        self.newTree = newTree
    }
}
