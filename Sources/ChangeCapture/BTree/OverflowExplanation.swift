extension CommitPages {
    /// Marks the pages that were in no tree before the commit and are in none after it, once it is known which are.
    mutating func noteUnexplained(pageCount: UInt32, pointerMap: PointerMap?) {
        for index in pages.indices where pages[index].oldTree < 0 && pages[index].newTree < 0 {
            let number = pages[index].number
            guard number <= pageCount, pointerMap?.isPointerMapPage(number) != true else { continue }
            pages[index].isUnexplained = true
            unexplainedCount += 1
        }
    }
}

/// Finds the rows of which the commit changed overflow pages alone.
///
/// Whatever is still unexplained after the tables were compared is a free page, or part of the chain of a cell that is the
/// same on both sides: on a page that the commit wrote, or on one that it did not.
extension TableComparison {
    func explainRest(
        _ emitter: inout RowEmitter,
        _ map: PageMap,
        _ pointerMap: PointerMap?,
        _ owners: inout OverflowOwners,
        _ statistics: inout CommitDecoder.Statistics,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let suspects = emitter.takeSuspects()
        guard emitter.commit.unexplainedCount > 0 else { return }
        try Freelist.forEachPage(in: after) { (page) throws(WALDecodeError) in
            emitter.commit.explain(page)
            return emitter.commit.unexplainedCount > 0
        }
        try compareSuspects(suspects, &emitter, &sink)
        try explainWrittenTrees(&emitter)
        guard emitter.commit.unexplainedCount > 0 else { return }
        if let pointerMap {
            try compareOwners(&emitter, map, &sink) { (page) throws(WALDecodeError) in
                try OverflowOwners.treePage(above: page, pointerMap: pointerMap, in: after)
            }
        } else {
            if owners.isBuilt {
                try compareOwners(&emitter, map, &sink) { (page) throws(WALDecodeError) in
                    owners.treePage(above: page, map: map)
                }
            }
            // What is noted can be out of date, or there is nothing noted yet.
            if emitter.commit.unexplainedCount > 0 {
                statistics.overflowScans += 1
                try owners.build(from: after, catalog: newCatalog)
                try compareOwners(&emitter, map, &sink) { (page) throws(WALDecodeError) in
                    owners.treePage(above: page, map: map)
                }
            }
        }
        statistics.unexplainedPages += emitter.commit.unexplainedCount
    }

    private func compareSuspects(
        _ suspects: [RowEmitter.Suspect],
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let format = after.format
        for suspect in suspects where emitter.commit.unexplainedCount > 0 {
            guard let step = step(for: Int(suspect.tree)) else { continue }
            try after.withTreePage(suspect.page, format: format) { (page) throws(WALDecodeError) in
                let cell = try page.cell(at: Int(suspect.cell))
                try emitter.compareChains(of: cell, on: page, before: before, after: after, step, &sink)
            }
        }
    }

    /// Chains of trees that are not reported, and of rows whose values nobody wanted.
    private func explainWrittenTrees(_ emitter: inout RowEmitter) throws(WALDecodeError) {
        let format = after.format
        for index in emitter.commit.pages.indices {
            guard emitter.commit.unexplainedCount > 0 else { return }
            guard emitter.commit.pages[index].newTree >= 0 else { continue }
            let number = emitter.commit.pages[index].number
            try after.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                try page.forEachOverflowingCell { (cell, _) throws(WALDecodeError) in
                    _ = try emitter.explain(OverflowChain(cell, on: number), in: after)
                }
            }
        }
    }

    /// Looks at the pages that own what is unexplained, as far as `owner` knows them.
    private func compareOwners(
        _ emitter: inout RowEmitter,
        _ map: PageMap,
        _ sink: inout some RowSink,
        owner: (UInt32) throws(WALDecodeError) -> UInt32?
    ) throws(WALDecodeError) {
        var treePages: Set<UInt32> = []
        for page in emitter.commit.pages where page.isUnexplained {
            if let treePage = try owner(page.number) { treePages.insert(treePage) }
        }
        let format = after.format
        for number in treePages.sorted() {
            guard let tree = map.tree(of: number) else { continue }
            // A page that the commit wrote has been compared already.
            let step = emitter.commit.isWritten(number) ? nil : step(for: tree)
            try after.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                try page.forEachOverflowingCell { (cell, _) throws(WALDecodeError) in
                    if let step {
                        try emitter.compareChains(of: cell, on: page, before: before, after: after, step, &sink)
                    } else {
                        _ = try emitter.explain(OverflowChain(cell, on: number), in: after)
                    }
                }
            }
        }
    }
}
