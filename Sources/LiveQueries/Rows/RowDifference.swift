import ChangeCapture

/// Compares two results.
enum RowDifference {
    /// The changes from one multiset of rows to another; rows with the same key become one update.
    ///
    /// - Parameter key: the columns that identify a row; nil when there are none.
    static func unordered(_ old: [Row], _ new: [Row], key: [Int]?) -> [LiveRowChange] {
        if old.isEmpty { return new.map { LiveRowChange(before: nil, after: $0) } }
        if new.isEmpty { return old.map { LiveRowChange(before: $0, after: nil) } }
        if old.count == 1, new.count == 1 {
            if old[0] == new[0] { return [] }
            if let key, old[0].selecting(key) == new[0].selecting(key) {
                return [LiveRowChange(before: old[0], after: new[0])]
            }
            return [LiveRowChange(before: old[0], after: nil), LiveRowChange(before: nil, after: new[0])]
        }
        var counts: [Row: Int] = [:]
        for row in old { counts[row, default: 0] += 1 }
        var added: [Row] = []
        for row in new {
            if let count = counts[row], count > 0 {
                counts[row] = count - 1
            } else {
                added.append(row)
            }
        }
        var removed: [Row] = []
        // From the end, so that of equal rows the first ones stay.
        for row in old.reversed() {
            guard let count = counts[row], count > 0 else { continue }
            counts[row] = count - 1
            removed.append(row)
        }
        removed.reverse()
        return pair(removed, added, key: key)
    }

    private static func pair(_ removed: [Row], _ added: [Row], key: [Int]?) -> [LiveRowChange] {
        guard let key, !removed.isEmpty, !added.isEmpty else {
            return removed.map { LiveRowChange(before: $0, after: nil) }
                + added.map { LiveRowChange(before: nil, after: $0) }
        }
        var places: [Row: Int] = [:]
        for (place, row) in added.enumerated() { places[row.selecting(key)] = place }
        var isPaired = [Bool](repeating: false, count: added.count)
        var changes: [LiveRowChange] = []
        var updates: [LiveRowChange] = []
        for row in removed {
            if let place = places[row.selecting(key)], !isPaired[place] {
                isPaired[place] = true
                updates.append(LiveRowChange(before: row, after: added[place]))
            } else {
                changes.append(LiveRowChange(before: row, after: nil))
            }
        }
        changes += updates
        for place in added.indices where !isPaired[place] {
            changes.append(LiveRowChange(before: nil, after: added[place]))
        }
        return changes
    }

    /// The changes from one list of rows to another, with as many rows left in place as possible. Deletions come first,
    /// from the last to the first; then insertions in order. Rows with the same key become one update with both
    /// indexes.
    static func ordered(_ old: [Row], _ new: [Row], key: [Int]?) -> [LiveRowChange] {
        let kept = keptRows(old, new)
        var removed: [(Int, Row)] = []
        var added: [(Int, Row)] = []
        var keptOld = Set<Int>()
        var keptNew = Set<Int>()
        for (oldIndex, newIndex) in kept {
            keptOld.insert(oldIndex)
            keptNew.insert(newIndex)
        }
        for index in old.indices where !keptOld.contains(index) { removed.append((index, old[index])) }
        for index in new.indices where !keptNew.contains(index) { added.append((index, new[index])) }
        var updates: [LiveRowChange] = []
        if let key {
            var places: [Row: Int] = [:]
            for (place, entry) in added.enumerated() { places[entry.1.selecting(key)] = place }
            var pairedAdded = Set<Int>()
            var left: [(Int, Row)] = []
            for (index, row) in removed {
                if let place = places[row.selecting(key)], pairedAdded.insert(place).inserted {
                    updates.append(
                        LiveRowChange(before: row, after: added[place].1, oldIndex: index, index: added[place].0)
                    )
                } else {
                    left.append((index, row))
                }
            }
            removed = left
            added = added.indices.filter { !pairedAdded.contains($0) }.map { added[$0] }
        }
        return removed.reversed().map { LiveRowChange(before: $0.1, after: nil, oldIndex: $0.0) } + updates
            + added.map { LiveRowChange(before: nil, after: $0.1, index: $0.0) }
    }

    /// Pairs of indexes of equal rows, both increasing: the longest such sequence for the order of equal rows.
    private static func keptRows(_ old: [Row], _ new: [Row]) -> [(Int, Int)] {
        // Equal rows at both ends stay in place; most changes affect few rows.
        var start = 0
        while start < old.count, start < new.count, old[start] == new[start] { start += 1 }
        var (oldEnd, newEnd) = (old.count, new.count)
        while oldEnd > start, newEnd > start, old[oldEnd - 1] == new[newEnd - 1] {
            oldEnd -= 1
            newEnd -= 1
        }
        var pairs = (0..<start).map { ($0, $0) }
        var places: [Row: [Int]] = [:]
        for index in (start..<oldEnd).reversed() { places[old[index], default: []].append(index) }
        // The longest increasing subsequence of old indexes, by patience sorting.
        var tails: [(oldIndex: Int, entry: Int)] = []
        var entries: [(oldIndex: Int, newIndex: Int, previous: Int)] = []
        for newIndex in start..<newEnd {
            guard let oldIndex = places[new[newIndex]]?.popLast() else { continue }
            var (low, high) = (0, tails.count)
            while low < high {
                let middle = (low + high) / 2
                if tails[middle].oldIndex < oldIndex { low = middle + 1 } else { high = middle }
            }
            entries.append((oldIndex, newIndex, low > 0 ? tails[low - 1].entry : -1))
            let tail = (oldIndex, entries.count - 1)
            if low < tails.count { tails[low] = tail } else { tails.append(tail) }
        }
        var middle: [(Int, Int)] = []
        var entry = tails.last?.entry ?? -1
        while entry >= 0 {
            middle.append((entries[entry].oldIndex, entries[entry].newIndex))
            entry = entries[entry].previous
        }
        pairs += middle.reversed()
        pairs += (0..<old.count - oldEnd).map { (oldEnd + $0, newEnd + $0) }
        return pairs
    }
}
