/// A column as [`PRAGMA table_xinfo`](https://sqlite.org/pragma.html#pragma_table_xinfo) describes it.
public struct ColumnDescription: Sendable {
    /// The `hidden` column of `table_xinfo`.
    public enum Visibility: Int, Sendable, Hashable {
        case normal = 0
        /// A hidden column of a virtual table.
        case hidden = 1
        case generatedVirtual = 2
        case generatedStored = 3
    }

    public var name: String
    /// The declared type, empty where there is none.
    public var type: String
    public var isNotNull: Bool
    /// The SQL text of the default, as declared.
    public var defaultSQL: String?
    /// 1 for the first column of the primary key, 2 for the second, 0 for a column outside of it.
    public var primaryKeyOrdinal: Int
    public var visibility: Visibility

    public init(
        name: String,
        type: String,
        isNotNull: Bool,
        defaultSQL: String?,
        primaryKeyOrdinal: Int,
        visibility: Visibility
    ) {
        self.name = name
        self.type = type
        self.isNotNull = isNotNull
        self.defaultSQL = defaultSQL
        self.primaryKeyOrdinal = primaryKeyOrdinal
        self.visibility = visibility
    }
}

extension ColumnDescription: Hashable {
    /// Names and SQL are compared byte for byte.
    public static func == (left: ColumnDescription, right: ColumnDescription) -> Bool {
        left.name.isIdentical(to: right.name) && left.hasSameDefinition(as: right)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(SQLName(name)) }

    /// Equal in everything but the name.
    package func hasSameDefinition(as other: ColumnDescription) -> Bool {
        type.isIdentical(to: other.type) && isNotNull == other.isNotNull
            && defaultSQL.map(SQLName.init) == other.defaultSQL.map(SQLName.init)
            && primaryKeyOrdinal == other.primaryKeyOrdinal && visibility == other.visibility
    }
}
