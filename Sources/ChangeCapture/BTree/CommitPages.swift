/// The pages of one commit, sorted by what they were and what they became.
struct CommitPages {
    /// A page that the commit wrote, or that it cut off the end of the database.
    struct Page {
        var number: UInt32
        /// Places in ``TreeCatalog/trees``; -1 for a page of no tree.
        var oldTree: Int32
        var newTree: Int32
        /// The page is in no tree before or after the commit, and it is not known yet what it is. Only such a page can be part
        /// of an overflow chain under a leaf that did not change.
        var isUnexplained = false
    }

    /// A page that left its tree without having been written: its cells are gone nevertheless.
    struct Freed {
        var number: UInt32
        var oldTree: Int32
    }

    var pages: [Page] = []
    var freed: [Freed] = []
    /// Trees after the commit of which pages that were not written belonged to another table before it: both tables need to
    /// be compared whole.
    var rebuiltTrees: Set<Int> = []
    var unexplainedCount = 0
    /// For each page: 1 + the place in `pages`, or the place in `detached` with `detachedFlag`, or `freedMark`; else 0.
    private var marks = PageTable()
    /// Pages whose link was cut, and the tree that they were part of.
    private(set) var detached: [Freed] = []

    private static let detachedFlag: UInt32 = 1 << 31
    private static let freedMark = UInt32.max

    /// Takes the numbers of a commit's pages, in any order and with repeats. Clears what was left of the last commit.
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

    /// Adds a page of which only its new place tells that it was written: its bytes are those that it had.
    mutating func addUnseen(_ number: UInt32, oldTree: Int32) {
        pages.append(Page(number: number, oldTree: oldTree, newTree: -1))
        marks[number] = UInt32(pages.count)
    }

    @inline(__always)
    func isWritten(_ number: UInt32) -> Bool { index(of: number) != nil }

    /// The place in `pages` of a page of the commit.
    @inline(__always)
    func index(of number: UInt32) -> Int? {
        let mark = marks[number]
        return mark == 0 || mark & Self.detachedFlag != 0 ? nil : Int(mark) - 1
    }

    mutating func detach(_ number: UInt32, oldTree: Int32) {
        detached.append(Freed(number: number, oldTree: oldTree))
        if marks[number] == 0 { marks[number] = Self.detachedFlag | UInt32(detached.count - 1) }
    }

    /// The tree that a page was cut from which the commit did not write.
    func treeCutFrom(_ number: UInt32) -> Int32? {
        let mark = marks[number]
        return mark & Self.detachedFlag == 0 || mark == Self.freedMark
            ? nil : detached[Int(mark & ~Self.detachedFlag)].oldTree
    }

    /// Notes a page as freed, once.
    mutating func free(_ page: Freed) -> Bool {
        guard marks[page.number] != Self.freedMark else { return false }
        marks[page.number] = Self.freedMark
        freed.append(page)
        return true
    }

    /// Notes that a page's change is accounted for.
    @inline(__always)
    mutating func explain(_ number: UInt32) {
        guard unexplainedCount > 0, let index = index(of: number), pages[index].isUnexplained else { return }
        pages[index].isUnexplained = false
        unexplainedCount -= 1
    }
}
