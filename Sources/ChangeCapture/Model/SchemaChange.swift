/// A schema object that a transaction created, modified or dropped; determined by comparing the schema before and
/// after, never by parsing the SQL that ran.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum SchemaChange: Sendable, Hashable {
    case created(TableDescription)
    case modified(Modification)
    case dropped(TableDescription)

    /// A table or view that still exists under the same or another name.
    public struct Modification: Sendable, Hashable {
        /// The description after the commit.
        public var table: TableDescription
        /// The name before the commit, if it was another one. The renames of one transaction happen at once: two tables
        /// can have swapped names.
        public var previousName: String?
        /// For each column after the commit, its position before; nil for a new one. Nil when the columns did not
        /// change, including their names.
        public var columnSources: [Int?]?
        /// Whether the definition itself changed, and not only indexes and triggers: expressions on the columns, such as the condition
        /// of a query, can select other rows since.
        public var isRedefined: Bool
        /// Indexes and triggers of the table that were added, removed or changed.
        public var objects: [ObjectChange]

        public init(
            table: TableDescription,
            previousName: String? = nil,
            columnSources: [Int?]? = nil,
            isRedefined: Bool = false,
            objects: [ObjectChange] = []
        ) {
            self.table = table
            self.previousName = previousName
            self.columnSources = columnSources
            self.isRedefined = isRedefined
            self.objects = objects
        }
    }

    /// An index or trigger that was added, removed or changed with a ``Modification``.
    public struct ObjectChange: Sendable, Hashable {
        /// Later versions can have further cases: handle those you need, and others with `default`.
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
        /// The `CREATE` statement after the commit; for a removal the one before it; nil for an automatic index.
        public var sql: String?

        public init(action: Action, kind: Kind, name: String, sql: String?) {
            self.action = action
            self.kind = kind
            self.name = name
            self.sql = sql
        }
    }
}
