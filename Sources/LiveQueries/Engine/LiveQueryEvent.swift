package import ChangeCapture

/// Names a live query: the same for all clients that follow it.
package struct LiveQueryID: Hashable, Sendable, CustomStringConvertible {
    package let number: UInt64
    package var description: String { "q\(number)" }
}

/// Names one client's interest in a query.
package struct LiveSubscriberID: Hashable, Sendable {
    package let number: UInt64
}

/// What a client learns of its query.
package struct LiveQueryDescription: Sendable, Hashable {
    package var id: LiveQueryID
    package var columns: [String]
    /// The positions of the columns that identify a row.
    package var key: [Int]?
    package var isIncremental: Bool
    /// Why it is not.
    package var rerunReason: String?
    /// The tables that it reads.
    package var tables: [String]
    package var isOrdered: Bool
}

/// What happens with live queries, in one order for each query.
package enum LiveQueryEvent: Sendable {
    /// The subscriber's query is followed. With `recovered`, the deltas since its position come next; otherwise a snapshot.
    case started(LiveSubscriberID, LiveQueryDescription, position: LivePosition, recovered: Bool?)
    /// The rows of the query as of a position, for one subscriber.
    case snapshot(LiveSubscriberID, LiveQueryDescription, rows: LiveRows, position: LivePosition)
    /// A delta for one subscriber, which is catching up.
    case missed(LiveSubscriberID, LiveQueryID, LiveDelta)
    /// From now on the subscriber gets what ``changed(_:_:)`` and ``reset(_:rows:position:)`` say of the query.
    case joined(LiveSubscriberID, LiveQueryID)
    /// A delta for every subscriber that has joined the query.
    case changed(LiveQueryID, LiveDelta)
    /// What was sent of the query counts no more: its rows as of a position, for every subscriber that has joined it.
    case reset(LiveQueryDescription, rows: LiveRows, position: LivePosition)
    /// The subscriber's query could not be started.
    case refused(LiveSubscriberID, LiveRefusal)
    /// The query is not followed any more; all of its subscribers have left it.
    case ended(LiveQueryID, subscribers: [LiveSubscriberID], LiveRefusal)
    /// All queries but these are exact as of a position.
    case reached(LivePosition, except: Set<LiveQueryID>)
}

/// The rows of a result; one object for all who get them.
package final class LiveRows: Sendable {
    package let rows: [Row]
    package let byteCount: Int

    init(_ rows: [Row]) {
        self.rows = rows
        byteCount = rows.reduce(0) { $0 + $1.byteCount + 32 }
    }
}

/// Where the engine delivers, on its own thread, one event at a time. It must not block.
package protocol LiveQuerySink: AnyObject, Sendable {
    func receive(_ event: LiveQueryEvent)
}

/// What one query costs, and how far it is.
package struct LiveQueryFigures: Sendable, Hashable {
    package var id: LiveQueryID
    package var sql: String
    package var isIncremental: Bool
    /// Why it is not.
    package var rerunReason: String?
    package var statistics: LiveQueryStatistics
    /// For how long there has been a commit which its subscribers do not have yet; zero where there is none.
    package var lag: Duration
}

/// How the engine has fared since it was made, or one query since it was first followed.
package struct LiveQueryStatistics: Sendable, Hashable {
    package var queries = 0
    package var subscribers = 0
    /// Steps of queries that were evaluated by their changed rows.
    package var incrementalSteps = 0
    /// Steps of queries that a commit did not concern, although it changed a table that they read.
    package var skippedSteps = 0
    /// Queries that were run as a whole.
    package var runs = 0
    /// Runs that were spared because no row of a query was touched.
    package var sparedRuns = 0
    package var deltas = 0
    package var snapshots = 0
    package var resets = 0
    package var stepTime = Duration.zero
    package var runTime = Duration.zero
    /// Commits that wait.
    package var pendingTransactions = 0

    package init() {}
}
