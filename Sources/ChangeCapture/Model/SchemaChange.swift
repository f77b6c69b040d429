/// A schema object that a transaction created, modified or dropped; found by comparing the schema before and after, never
/// by reading the SQL that ran.
public enum SchemaChange: Sendable, Hashable {
    case created(TableDescription)
    case modified(Modification)
    case dropped(TableDescription)

    /// A table or view that is still there under the same or another name.
    public struct Modification: Sendable, Hashable {
        /// The description after the commit.
        public var table: TableDescription
        /// The name before the commit, where it was another one. The renames of one transaction happen at once: two tables
        /// can have swapped names.
        public var previousName: String?
        /// For each column after the commit, the position that it had before; nil for a new one. Nil where the columns are
        /// as they were, names included.
        public var columnSources: [Int?]?
        /// Indexes and triggers of the table that came, went or changed.
        public var objects: [ObjectChange]

        public init(
            table: TableDescription,
            previousName: String? = nil,
            columnSources: [Int?]? = nil,
            objects: [ObjectChange] = []
        ) {
            self.table = table
            self.previousName = previousName
            self.columnSources = columnSources
            self.objects = objects
        }
    }

    /// An index or trigger that came, went or changed with a ``Modification``.
    public struct ObjectChange: Sendable, Hashable {
        public enum Kind: String, Sendable, Hashable {
            case index
            case trigger
        }

        public enum Action: String, Sendable, Hashable {
            case added
            case removed
            case changed
        }

        public var action: Action
        public var kind: Kind
        public var name: String
        /// The `CREATE` statement after the commit; the one before it for a removal; nil for an automatic index.
        public var sql: String?

        public init(action: Action, kind: Kind, name: String, sql: String?) {
            self.action = action
            self.kind = kind
            self.name = name
            self.sql = sql
        }
    }
}
