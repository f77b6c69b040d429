/// Notices that a chain of pages runs in a circle, without remembering its pages: by Brent's method, after at most three
/// times as many steps as the chain has different pages. A chain as long as a file claims to be could take hours.
struct CycleGuard {
    private var anchor: UInt32
    private var steps: UInt64 = 0
    private var limit: UInt64 = 2

    /// - Parameter page: the first of the chain.
    init(from page: UInt32) { anchor = page }

    /// Whether the chain has been at this page before. Call with every page after the first.
    mutating func isRepeated(_ page: UInt32) -> Bool {
        if page == anchor { return true }
        steps += 1
        if steps == limit {
            anchor = page
            limit *= 2
        }
        return false
    }
}
