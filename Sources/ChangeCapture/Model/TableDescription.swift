/// A table, view or virtual table of the main schema, as `sqlite_schema` and `PRAGMA table_xinfo` describe it.
public struct TableDescription: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case table
        case view
        case virtual
    }

    public var name: String
    public var kind: Kind
    /// The `CREATE` statement as `sqlite_schema` keeps it.
    public var sql: String
    /// Every column in the order of `SELECT *`, hidden and generated ones included.
    public var columns: [ColumnDescription]
    /// Positions in ``columns`` of the primary key, in key order; empty where the table declares none.
    public var primaryKey: [Int]
    /// True for an ordinary table that is not `WITHOUT ROWID`.
    public var hasRowid: Bool
    /// The position in ``columns`` of the `INTEGER PRIMARY KEY`, which is another name for the rowid.
    public var rowidAlias: Int?

    public init(
        name: String,
        kind: Kind,
        sql: String,
        columns: [ColumnDescription],
        primaryKey: [Int],
        hasRowid: Bool,
        rowidAlias: Int?
    ) {
        self.name = name
        self.kind = kind
        self.sql = sql
        self.columns = columns
        self.primaryKey = primaryKey
        self.hasRowid = hasRowid
        self.rowidAlias = rowidAlias
    }
}

/// A column as [`PRAGMA table_xinfo`](https://sqlite.org/pragma.html#pragma_table_xinfo) describes it.
public struct ColumnDescription: Sendable, Hashable {
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
