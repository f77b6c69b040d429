/// What a client may do. Each role may do what those before it may.
public enum Role: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Listen, and run queries that only read.
    case readOnly = "read-only"
    /// Also change rows and schema.
    case readWrite = "read-write"
    /// Also broadcast, cancel everybody's queries, and change settings of the database file.
    case admin

    public static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .readOnly: 0
        case .readWrite: 1
        case .admin: 2
        }
    }
}
