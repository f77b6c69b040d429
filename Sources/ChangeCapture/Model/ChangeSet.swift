/// What one committed transaction changed in the main database: the one type that both sources of changes, the hooks
/// of our own connection and the write-ahead log of everybody else's, produce.
///
/// Never made for a transaction that was rolled back, and never before the commit is durable.
public struct ChangeSet: Sendable {
    /// Who committed: a query that ran through the service, or another process.
    public enum Origin: Sendable, Hashable {
        case service
        case external
    }

    public var origin: Origin
    /// Schema events first, then rows: the order in which a replica can apply them.
    ///
    /// Drops come before renames and alterations, those before creations, and rows are described in the schema as it is
    /// after the commit.
    public var events: [ChangeEvent]

    public init(origin: Origin, events: [ChangeEvent]) {
        self.origin = origin
        self.events = events
    }

    /// The transaction left nothing behind that differs from before.
    public var isEmpty: Bool { events.isEmpty }

    /// Rows that differ, over all tables; those of a table whose counts are not known are not among them.
    public var rowCount: Int {
        events.reduce(0) { sum, event in
            guard case .rows(let rows) = event else { return sum }
            return sum + rows.inserted + rows.updated + rows.deleted
        }
    }
}

/// One step of a ``ChangeSet``.
public enum ChangeEvent: Sendable {
    case schema(SchemaChange)
    case rows(TableRows)
}

/// The rows of one table that a transaction changed, netted: one entry for each row that differs between the state
/// before the transaction and the state after it, and nothing else.
///
/// A row is identified by its rowid, in a `WITHOUT ROWID` table by its primary key. A row that moved to another identity is
/// a delete and an insert, whoever committed it.
public struct TableRows: Sendable {
    /// As it is after the commit.
    public var table: TableDescription
    /// Rows that were not there before.
    public var inserted: Int
    /// Rows that were there before with other values.
    public var updated: Int
    /// Rows that are not there any more.
    public var deleted: Int
    /// False where it is known only *that* rows changed: the counts are 0 then, and ``rowsOmitted`` is true.
    public var countsAreKnown: Bool
    /// What ``rows`` holds: nothing, identities, or identities and values.
    public var detail: CaptureLevel
    /// Deletes first, then updates, then inserts. Empty when ``detail`` is `counts`.
    public var rows: [RowChange]
    /// The capture was asked for more than ``detail`` and could not keep it, for a limit or because SQLite does not tell.
    /// The counts hold nevertheless, unless ``countsAreKnown`` is false.
    public var rowsOmitted: Bool
    /// Columns of ``table`` whose values are not known in any of ``rows``, which have NULL there: VIRTUAL generated columns
    /// that could not be computed, or not in time.
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
    /// Rows changed, and nothing tells which: the pre-update hook does not see virtual tables, nor what `VACUUM` does, and
    /// of a large file with a rollback journal no old pages are kept.
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

    public var operation: Operation
    /// The row's rowid, which an update never changes; nil for a table without one.
    public var rowid: Int64?
    /// The row before the transaction; nil for an insert.
    ///
    /// With ``TableRows/detail`` `values` it holds every column. With `keys` it holds the columns of
    /// ``TableDescription/primaryKey`` alone, in that order, and is nil where the rowid is the key: no primary key, or one
    /// that is another name for the rowid.
    public var before: Row?
    /// The row after the transaction, as ``before``; nil for a delete.
    public var after: Row?

    public init(operation: Operation, rowid: Int64?, before: Row?, after: Row?) {
        self.operation = operation
        self.rowid = rowid
        self.before = before
        self.after = after
    }
}
