package import ChangeCapture

/// Identifies a live query: the same for all of its subscribers.
package struct LiveQueryID: Hashable, Sendable, CustomStringConvertible {
    package let number: UInt64
    package var description: String { "q\(number)" }
}

/// Identifies one client's subscription to a query.
package struct LiveSubscriberID: Hashable, Sendable {
    package let number: UInt64
}

/// The description of a query that a client receives.
package struct LiveQueryDescription: Sendable, Hashable {
    package var id: LiveQueryID
    package var columns: [String]
    /// The positions of the columns that identify a row.
    package var key: [Int]?
    package var isIncremental: Bool
    /// Why it is not incremental.
    package var rerunReason: String?
    /// The tables that it reads.
    package var tables: [String]
    package var isOrdered: Bool
}

/// An event of live queries; the events of each query are ordered.
package enum LiveQueryEvent: Sendable {
    /// The subscription has started. With `recovered`, the deltas since its position follow; otherwise a snapshot.
    case started(LiveSubscriberID, LiveQueryDescription, position: LivePosition, recovered: Bool?)
    /// The rows of the query as of a position, for one subscriber.
    case snapshot(LiveSubscriberID, LiveQueryDescription, rows: LiveRows, position: LivePosition)
    /// A delta for one subscriber, which is catching up.
    case missed(LiveSubscriberID, LiveQueryID, LiveDelta)
    /// From now on the subscriber receives ``changed(_:_:)`` and ``reset(_:rows:position:)`` of the query.
    case joined(LiveSubscriberID, LiveQueryID)
    /// A delta for every subscriber that has joined the query.
    case changed(LiveQueryID, LiveDelta)
    /// Everything sent so far is invalid: the query's rows as of a position, for every subscriber that has joined it.
    case reset(LiveQueryDescription, rows: LiveRows, position: LivePosition)
    /// The subscriber's query could not be started.
    case refused(LiveSubscriberID, LiveRefusal)
    /// The query has ended; it has no subscribers any more.
    case ended(LiveQueryID, subscribers: [LiveSubscriberID], LiveRefusal)
    /// All queries except these are exact as of a position.
    case reached(LivePosition, except: Set<LiveQueryID>)
}

/// The rows of a result; one object for all receivers.
package final class LiveRows: Sendable {
    package let rows: [Row]
    /// The number of columns that the statement had when it returned the rows.
    package let columnCount: Int
    package let byteCount: Int

    init(_ rows: [Row], columnCount: Int) {
        self.rows = rows
        self.columnCount = columnCount
        byteCount = rows.reduce(0) { $0 + $1.byteCount + 32 }
    }
}

/// Receives the engine's events on the engine's own thread, one at a time. It must not block.
package protocol LiveQuerySink: AnyObject, Sendable {
    func receive(_ event: LiveQueryEvent)
}

/// The cost and the progress of one query.
package struct LiveQueryFigures: Sendable, Hashable {
    package var id: LiveQueryID
    package var sql: String
    package var isIncremental: Bool
    /// Why it is not incremental.
    package var rerunReason: String?
    package var statistics: LiveQueryStatistics
    /// The age of the oldest commit that its subscribers do not have; zero if there is none.
    package var lag: Duration
}

/// The counters of the engine since it was created, or of one query since its first subscription.
package struct LiveQueryStatistics: Sendable, Hashable {
    package var queries = 0
    package var subscribers = 0
    /// Steps of queries that were evaluated by their changed rows.
    package var incrementalSteps = 0
    /// Steps that were skipped: a commit changed a table of the query but nothing that the query reads.
    package var skippedSteps = 0
    /// Whole runs of queries.
    package var runs = 0
    /// Whole runs that were skipped because no row of the query was touched.
    package var sparedRuns = 0
    package var deltas = 0
    package var snapshots = 0
    package var resets = 0
    package var stepTime = Duration.zero
    package var runTime = Duration.zero
    /// The number of pending commits.
    package var pendingTransactions = 0

    package init() {}
}
