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
}

/// One step of a ``ChangeSet``.
public enum ChangeEvent: Sendable {
    case schema(SchemaChange)
    case rows(TableRows)
}
