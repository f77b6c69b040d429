/// A number for each page of a database, 0 unless it was set: memory by the pages that have one, not by the pages that a
/// header claims.
///
/// A file or a log can claim 2^31 pages and hold three, by damage or by malice. So pages are grouped. A group with many numbers
/// is an array, found by two array accesses; one with few keeps them in a dictionary, at a cost for each.
struct PageTable: Sendable {
    private static let groupBits = 10
    private static let groupSize = 1 << groupBits
    /// From so many numbers on a group is an array: then it takes no more memory than the dictionary would.
    private static let maxSparse: Int32 = 64

    /// For each group the place of its array, or the count of its numbers in `sparse` as a negative number; 0 for none.
    private var groups: [Int32] = []
    /// The arrays, one after the other; the first is never used, so that no place is 0.
    private var dense: [UInt32] = []
    private var sparse: [UInt32: UInt32] = [:]

    init() {}

    subscript(_ page: UInt32) -> UInt32 {
        @inline(__always)
        get {
            let group = Int(page >> Self.groupBits)
            guard group < groups.count else { return 0 }
            let place = groups[group]
            if place > 0 { return dense[Int(place) << Self.groupBits | Int(page) & (Self.groupSize - 1)] }
            return place == 0 ? 0 : sparse[page] ?? 0
        }
        @inline(__always)
        set {
            let group = Int(page >> Self.groupBits)
            if group < groups.count, groups[group] > 0 {
                dense[Int(groups[group]) << Self.groupBits | Int(page) & (Self.groupSize - 1)] = newValue
            } else {
                setSparse(page, newValue)
            }
        }
    }

    private mutating func setSparse(_ page: UInt32, _ value: UInt32) {
        let group = Int(page >> Self.groupBits)
        guard value != 0 else {
            if group < groups.count, sparse.removeValue(forKey: page) != nil { groups[group] += 1 }
            return
        }
        if group >= groups.count { groups.append(contentsOf: repeatElement(0, count: group + 1 - groups.count)) }
        guard sparse.updateValue(value, forKey: page) == nil else { return }
        groups[group] -= 1
        if groups[group] < -Self.maxSparse { makeDense(group) }
    }

    private mutating func makeDense(_ group: Int) {
        if dense.isEmpty { dense = [UInt32](repeating: 0, count: Self.groupSize) }
        let start = dense.count
        dense.append(contentsOf: repeatElement(0, count: Self.groupSize))
        for index in 0..<Self.groupSize {
            guard let value = sparse.removeValue(forKey: UInt32(group << Self.groupBits | index)) else { continue }
            dense[start + index] = value
        }
        groups[group] = Int32(start >> Self.groupBits)
    }

    /// Calls `body` with every page that has a number, in no particular order.
    func forEach(_ body: (_ page: UInt32, _ number: UInt32) -> Void) {
        for (page, number) in sparse { body(page, number) }
        for (group, place) in groups.enumerated() where place > 0 {
            for index in 0..<Self.groupSize where dense[Int(place) << Self.groupBits | index] != 0 {
                body(UInt32(group << Self.groupBits | index), dense[Int(place) << Self.groupBits | index])
            }
        }
    }
}
