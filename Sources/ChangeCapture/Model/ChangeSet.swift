/// The changes of one committed transaction in the main database: read from the write-ahead log, from a comparison with a copy
/// of the file, or, for commits of this process to a file in a rollback-journal mode, from the hooks of its connection.
///
/// Never made for a transaction that was rolled back, and never before the commit is durable.
public struct ChangeSet: Sendable {
    /// The source of the commit: a query that ran through the service, or another process.
    ///
    /// Later versions can have further cases: handle those you need, and others with `default`.
    public enum Origin: Sendable, Hashable {
        case service
        case external
    }

    public var origin: Origin
    /// Schema events first, then rows: the order in which a replica can apply them.
    ///
    /// Drops come before renames and alterations, those before creations, and rows are described in the schema after
    /// the commit.
    public var events: [ChangeEvent]

    /// The time to decode the changes from the pages of the commit; nil where hooks recorded them. In nanoseconds: a type of
    /// the standard library, whose layout is not known here, would make every copy of a change set slower.
    package var decodingNanoseconds: Int64?

    public init(origin: Origin, events: [ChangeEvent]) {
        self.origin = origin
        self.events = events
    }

    /// Whether the transaction had no net effect.
    public var isEmpty: Bool { events.isEmpty }

    /// Whether a table or a view was created, altered or dropped.
    var changesSchema: Bool {
        events.contains { event in
            if case .schema = event { true } else { false }
        }
    }

    /// The number of changed rows, over all tables, without tables whose counts are not known.
    public var rowCount: Int {
        events.reduce(0) { sum, event in
            guard case .rows(let rows) = event else { return sum }
            return sum + rows.inserted + rows.updated + rows.deleted
        }
    }
}

/// One step of a ``ChangeSet``.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum ChangeEvent: Sendable {
    case schema(SchemaChange)
    case rows(TableRows)
}

/// The rows of one table that a transaction changed, coalesced: one entry for each row that differs between the states
/// before and after the transaction.
///
/// A row is identified by its rowid, in a `WITHOUT ROWID` table by its primary key. A row that moved to another identity is
/// a delete and an insert, whichever process committed it.
public struct TableRows: Sendable {
    /// The table after the commit.
    public var table: TableDescription
    /// Rows that did not exist before.
    public var inserted: Int
    /// Rows that existed before with other values.
    public var updated: Int
    /// Rows that no longer exist.
    public var deleted: Int
    /// False when it is only known *that* rows changed: the counts are 0 then, and ``rowsOmitted`` is true.
    public var countsAreKnown: Bool
    /// What ``rows`` contains: nothing, identities, or identities and values.
    public var detail: CaptureLevel
    /// Deletes first, then updates, then inserts. Empty when ``detail`` is `counts`.
    public var rows: [RowChange]
    /// The capture was asked for more than ``detail`` and could not keep it, because of a limit or because SQLite does
    /// not report it. The counts are still correct, unless ``countsAreKnown`` is false.
    public var rowsOmitted: Bool
    /// Columns of ``table`` whose values are unknown in all of ``rows``, which have NULL there: VIRTUAL generated
    /// columns that could not be computed, or not in time.
    public var columnsOmitted: [String] = []

    public init(
        table: TableDescription,
        inserted: Int,
        updated: Int,
        deleted: Int,
        countsAreKnown: Bool = true,
        detail: CaptureLevel = .values,
        rows: [RowChange],
        rowsOmitted: Bool
    ) {
        self.table = table
        self.inserted = inserted
        self.updated = updated
        self.deleted = deleted
        self.countsAreKnown = countsAreKnown
        self.detail = detail
        self.rows = rows
        self.rowsOmitted = rowsOmitted
    }
}

extension TableRows {
    /// For a table with unknown changes: the pre-update hook sees neither virtual tables nor the changes of `VACUUM`,
    /// and no old pages are kept of a large file with a rollback journal.
    init(changedTable table: TableDescription) {
        self.init(
            table: table,
            inserted: 0,
            updated: 0,
            deleted: 0,
            countsAreKnown: false,
            detail: .counts,
            rows: [],
            rowsOmitted: true
        )
    }
}

/// One row that a transaction inserted, updated or deleted.
public struct RowChange: Sendable, Hashable {
    public enum Operation: Sendable, Hashable {
        case insert
        case update
        case delete
    }

    /// The row's rowid, which an update never changes; nil for a table without one.
    public var rowid: Int64?
    // After the rowid, where it takes no memory of its own.
    public var operation: Operation
    /// The row before the transaction; nil for an insert.
    ///
    /// With the ``TableRows/detail`` `values` it holds every column. With `keys` it holds only the columns of
    /// ``TableDescription/primaryKey``, in that order, and is nil when the rowid is the key: no primary key, or one
    /// that is an alias of the rowid.
    public var before: Row?
    /// The row after the transaction, like ``before``; nil for a delete.
    public var after: Row?

    public init(operation: Operation, rowid: Int64?, before: Row?, after: Row?) {
        self.operation = operation
        self.rowid = rowid
        self.before = before
        self.after = after
    }
}
