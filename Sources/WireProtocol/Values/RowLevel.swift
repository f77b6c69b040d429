/// How much of each changed row a subscriber of `tables` is told.
public enum RowLevel: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// Counts alone.
    case none
    /// The operation and the key.
    case keys
    /// The key, and the values before and after.
    case values

    private var rank: Int {
        switch self {
        case .none: 0
        case .keys: 1
        case .values: 2
        }
    }

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rank < rhs.rank }
}
