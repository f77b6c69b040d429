/// The pages of one commit, sorted by their role before and after it.
struct CommitPages {
    /// A page that the commit wrote, or that it cut off the end of the database.
    struct Page {
        var number: UInt32
        /// Places in ``TreeCatalog/trees``; -1 for a page of no tree.
        var oldTree: Int32
        var newTree: Int32
        /// The page is in no tree before or after the commit, and its role is not known yet. Only such a page can be
        /// part of an overflow chain under a leaf that did not change.
        var isUnexplained = false
    }

    /// A page that left its tree without being written: its cells are gone nevertheless.
    struct Freed {
        var number: UInt32
        var oldTree: Int32
    }

    var pages: [Page] = []
    var freed: [Freed] = []
    /// Trees after the commit with pages that were not written and belonged to another table before it: both tables
    /// must be compared as a whole.
    var rebuiltTrees: Set<Int> = []
    var unexplainedCount = 0
    /// For each page: 1 + the index in `pages`, or the index in `detached` with `detachedFlag`, or `freedMark`; else 0.
    private var marks = PageTable()
    /// Pages whose link was cut, and the tree that contained them.
    private(set) var detached: [Freed] = []

    private static let detachedFlag: UInt32 = 1 << 31
    private static let freedMark = UInt32.max

    /// Takes the numbers of a commit's pages, in any order and with repeats. Clears the state of the last commit.
    mutating func begin(_ numbers: [UInt32], pageCount: UInt32) {
        for page in pages { marks[page.number] = 0 }
        for page in detached { marks[page.number] = 0 }
        pages.removeAll(keepingCapacity: true)
        freed.removeAll(keepingCapacity: true)
        detached.removeAll(keepingCapacity: true)
        rebuiltTrees.removeAll(keepingCapacity: true)
        unexplainedCount = 0
        for number in numbers where number > 0 && number <= pageCount { add(number) }
    }

    mutating func add(_ number: UInt32) {
        guard marks[number] == 0 else { return }
        pages.append(Page(number: number, oldTree: -1, newTree: -1))
        marks[number] = UInt32(pages.count)
    }

    /// Adds a page whose bytes did not change: only its new place shows that it was written.
    mutating func addUnseen(_ number: UInt32, oldTree: Int32) {
        pages.append(Page(number: number, oldTree: oldTree, newTree: -1))
        marks[number] = UInt32(pages.count)
    }

    @inline(__always)
    func isWritten(_ number: UInt32) -> Bool { index(of: number) != nil }

    /// The index in `pages` of a page of the commit.
    @inline(__always)
    func index(of number: UInt32) -> Int? {
        let mark = marks[number]
        return mark == 0 || mark & Self.detachedFlag != 0 ? nil : Int(mark) - 1
    }

    mutating func detach(_ number: UInt32, oldTree: Int32) {
        detached.append(Freed(number: number, oldTree: oldTree))
        if marks[number] == 0 { marks[number] = Self.detachedFlag | UInt32(detached.count - 1) }
    }

    /// The tree from which a page that the commit did not write was cut.
    func treeCutFrom(_ number: UInt32) -> Int32? {
        let mark = marks[number]
        return mark & Self.detachedFlag == 0 || mark == Self.freedMark
            ? nil : detached[Int(mark & ~Self.detachedFlag)].oldTree
    }

    /// Records a page as freed, once.
    mutating func free(_ page: Freed) -> Bool {
        guard marks[page.number] != Self.freedMark else { return false }
        marks[page.number] = Self.freedMark
        freed.append(page)
        return true
    }

    /// Records that a page's change is accounted for.
    @inline(__always)
    mutating func explain(_ number: UInt32) {
        guard unexplainedCount > 0, let index = index(of: number), pages[index].isUnexplained else { return }
        pages[index].isUnexplained = false
        unexplainedCount -= 1
    }
}

/// A number for each page of a database, 0 unless it was set: memory grows with the pages that have one, not with the
/// page count that a header claims.
///
/// A damaged or malicious file or log can claim 2^31 pages and contain three. So pages are grouped. A group with many
/// numbers is an array, found by two array accesses; one with few keeps them in a dictionary, which costs more per
/// number.
struct PageTable: Sendable {
    private static let groupBits = 10
    private static let groupSize = 1 << groupBits
    /// From this many numbers on a group is an array: then it takes no more memory than the dictionary would.
    private static let maxSparse: Int32 = 64

    /// For each group the index of its array, or the count of its numbers in `sparse` as a negative number; 0 for none.
    private var groups: [Int32] = []
    /// The arrays, one after the other; the first is never used, so that no index is 0.
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
