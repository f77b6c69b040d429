/// A table, view or virtual table of the main schema, as `sqlite_schema` and `PRAGMA table_xinfo` describe it.
public struct TableDescription: Sendable {
    /// Later versions can have further cases: handle those you need, and others with `default`.
    public enum Kind: String, Sendable, Hashable {
        case table
        case view
        case virtual
    }

    public var name: String
    public var kind: Kind
    /// The `CREATE` statement in `sqlite_schema`.
    public var sql: String
    /// Every column in the order of `SELECT *`, including hidden and generated ones.
    public var columns: [ColumnDescription]
    /// Positions in ``columns`` of the primary key, in key order; empty when the table declares none.
    public var primaryKey: [Int]
    /// True for an ordinary table that is not `WITHOUT ROWID`.
    public var hasRowid: Bool
    /// The position in ``columns`` of the `INTEGER PRIMARY KEY`, which is an alias of the rowid.
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

extension TableDescription: Hashable {
    /// Names and SQL are compared byte for byte.
    public static func == (left: TableDescription, right: TableDescription) -> Bool {
        left.name.isIdentical(to: right.name) && left.kind == right.kind && left.sql.isIdentical(to: right.sql)
            && left.columns == right.columns && left.primaryKey == right.primaryKey && left.hasRowid == right.hasRowid
            && left.rowidAlias == right.rowidAlias
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(SQLName(name))
        hasher.combine(kind)
    }
}

extension TableDescription {
    /// Whether the columns of the primary key distinguish all rows. In a table with rowids a column of the key may be
    /// NULL, in several rows, unless it is declared NOT NULL.
    ///
    /// Source: [The PRIMARY KEY](https://sqlite.org/lang_createtable.html#the_primary_key).
    package var isIdentifiedByKey: Bool {
        if !hasRowid || rowidAlias != nil { return true }
        return !primaryKey.isEmpty && primaryKey.allSatisfy { columns[$0].isNotNull }
    }

    /// The name by which SQL reads the rowid: `rowid`, or another of its names when a column has that name; nil when
    /// columns have all of these names, and for a table without a rowid.
    ///
    /// Source: [ROWIDs and the INTEGER PRIMARY KEY](https://sqlite.org/lang_createtable.html#rowid).
    package var rowidName: String? {
        guard hasRowid else { return nil }
        if let rowidAlias { return SQLName(columns[rowidAlias].name).quoted }
        return ["rowid", "_rowid_", "oid"].first { name in
            !columns.contains { SQLName.areEqualIgnoringCase($0.name.utf8, name.utf8) }
        }
    }
}

/// A column as [`PRAGMA table_xinfo`](https://sqlite.org/pragma.html#pragma_table_xinfo) describes it.
public struct ColumnDescription: Sendable {
    /// The `hidden` column of `table_xinfo`.
    ///
    /// Later versions can have further cases: handle those you need, and others with `default`.
    public enum Visibility: Int, Sendable, Hashable {
        case normal = 0
        /// A hidden column of a virtual table.
        case hidden = 1
        case generatedVirtual = 2
        case generatedStored = 3
    }

    public var name: String
    /// The declared type, empty when there is none.
    public var type: String
    public var isNotNull: Bool
    /// The SQL text of the default, as declared.
    public var defaultSQL: String?
    /// 1 for the first column of the primary key, 2 for the second, 0 for other columns.
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

    /// Whether everything except the name is equal.
    package func hasSameDefinition(as other: ColumnDescription) -> Bool {
        type.isIdentical(to: other.type) && isNotNull == other.isNotNull
            && defaultSQL.map(SQLName.init) == other.defaultSQL.map(SQLName.init)
            && primaryKeyOrdinal == other.primaryKeyOrdinal && visibility == other.visibility
    }
}
