import WireProtocol

/// The distinct filters on tables that anybody has, counted. A value without locks.
struct FilterRegistry {
    private var counts: [TableFilter: Int] = [:]
    /// The same as the keys of ``counts``, without a copy for each publication.
    private(set) var filters: [TableFilter] = []

    var count: Int { filters.count }

    func contains(_ filter: TableFilter) -> Bool { counts[filter] != nil }

    mutating func add(_ filter: TableFilter) {
        counts[filter, default: 0] += 1
        if counts[filter] == 1 { filters.append(filter) }
    }

    mutating func remove(_ filter: TableFilter) {
        guard let count = counts[filter] else { return }
        if count > 1 {
            counts[filter] = count - 1
        } else {
            counts[filter] = nil
            filters.removeAll { $0 == filter }
        }
    }
}
