import ChangeCapture
import SQLiteConnection

/// The deltas of one query that are kept for clients that come back.
struct DeltaLog {
    /// Every delta after this sequence number is here.
    private(set) var start: UInt64
    private(set) var deltas: [LiveDelta] = []
    private var byteCount = 0

    init(start: UInt64) { self.start = start }

    mutating func append(_ delta: LiveDelta, maxDeltas: Int, maxBytes: Int) {
        deltas.append(delta)
        byteCount += delta.byteCount
        // An array gives up its front at a cost, so several at once.
        guard deltas.count > maxDeltas || byteCount > maxBytes else { return }
        let keep = maxDeltas / 2
        while let first = deltas.first, deltas.count > keep || byteCount > maxBytes / 2 {
            start = first.position.sequence
            byteCount -= first.byteCount
            deltas.removeFirst()
        }
    }

    /// The deltas after a sequence number; nil where some are gone.
    func since(_ sequence: UInt64) -> ArraySlice<LiveDelta>? {
        guard sequence >= start else { return nil }
        var low = 0
        var high = deltas.count
        while low < high {
            let middle = (low + high) / 2
            if deltas[middle].position.sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return deltas[low...]
    }
}

/// A query that is followed, for all of its subscribers. Belongs to the coordinator's thread.
final class LiveQuery {
    /// Requests that are one query.
    struct Identity: Hashable {
        var sql: SQLName
        var parameters: LiveParameters
        var key: [SQLName]?
        var rights: String

        init(_ request: LiveQueryRequest) {
            sql = SQLName(request.sql)
            parameters = request.parameters
            key = request.key?.map { SQLName($0) }
            rights = request.rights.identity
        }
    }

    enum Phase {
        /// It is compiled again, after a change of the schema.
        case compiling
        /// Its rows are being read for the first time, or again.
        case loading
        case live
    }

    struct Waiting {
        var subscriber: LiveSubscriberID
        var since: LivePosition?
    }

    let id: LiveQueryID
    let request: LiveQueryRequest
    let identity: Identity
    var plan: LivePlan
    var evaluator: StepEvaluator?
    var phase = Phase.loading
    /// Results of jobs that were given before it counted up are dropped.
    var generation = 0
    /// Subscribers that must have a new snapshot, because what they have counts no more.
    var mustReset = false
    /// It is run as a whole although its plan says otherwise, and why.
    var forcedRerun: String?
    /// Which subscribers get its deltas.
    var joined: Set<LiveSubscriberID> = []
    var waiting: [Waiting] = []
    var isSnapshotUnderWay = false

    /// Every delta since the query was registered.
    var log: DeltaLog
    /// The rows of each group; nil until they have been read.
    var groups: [GroupKey: Row]?
    /// Bytes of ``groups``.
    var groupBytes = 0
    /// Groups that were touched while the first rows are read, by the sequence number.
    var touched: [(sequence: UInt64, groups: [GroupKey: [SQLiteValue]])] = []
    /// Of a query that is run as a whole: the rows sent last.
    var rows: LiveRows?
    /// As of which sequence number ``rows`` are.
    var rowsSequence: UInt64 = 0
    /// Commits since then that may have changed them.
    var dirty: [UInt64] = []
    var isRunUnderWay = false
    var nextRun = ContinuousClock.now
    var statistics = LiveQueryStatistics()
    /// Since when there is a commit that its rows are not as of; nil where there is none.
    private(set) var behindSince: ContinuousClock.Instant?
    /// Since when nobody subscribes to it.
    var idleSince: ContinuousClock.Instant?

    init(id: LiveQueryID, request: LiveQueryRequest, plan: LivePlan, sequence: UInt64) {
        self.id = id
        self.request = request
        self.plan = plan
        identity = Identity(request)
        log = DeltaLog(start: sequence)
    }

    var description: LiveQueryDescription {
        LiveQueryDescription(
            id: id,
            columns: plan.columns,
            key: plan.key,
            isIncremental: plan.isIncremental,
            rerunReason: plan.rerunReason,
            tables: plan.dependencies.keys.map(\.string).sorted(),
            isOrdered: plan.isOrdered
        )
    }

    var run: Reader.Run {
        Reader.Run(
            id: id,
            generation: generation,
            sql: plan.sql,
            values: plan.values,
            rights: request.rights,
            ownNames: plan.ownNames,
            isOrdered: plan.isOrdered,
            key: plan.key,
            mustCheckKey: plan.mustCheckKey
        )
    }

    /// To be called when a commit has come that waits, and when one has been taken in.
    func noteBehind() {
        if isExact { behindSince = nil } else { behindSince = behindSince ?? .now }
    }

    func figures(at now: ContinuousClock.Instant) -> LiveQueryFigures {
        var statistics = statistics
        statistics.queries = 1
        statistics.subscribers = joined.count + waiting.count
        return LiveQueryFigures(
            id: id,
            sql: request.sql,
            isIncremental: plan.isIncremental,
            rerunReason: plan.rerunReason,
            statistics: statistics,
            lag: behindSince.map { now - $0 } ?? .zero
        )
    }

    /// Whether the subscribers have what the query's tables say as of the coordinator's position.
    var isExact: Bool { phase == .live && dirty.isEmpty }

    /// Takes the groups' rows from a whole run, whose last columns are the groups' keys.
    func takeGroups(_ rows: LiveRows, count: Int, collations: [KeyCollation]) -> LiveRows {
        var groups: [GroupKey: Row] = [:]
        var stripped: [Row] = []
        groupBytes = 0
        for row in rows.rows {
            let values = row.values
            let key = GroupKey(Array(values[count...]), collations)
            let result = Row(Array(values[..<count]))
            groups[key] = result
            groupBytes += result.byteCount + 64
            stripped.append(result)
        }
        self.groups = groups
        return LiveRows(stripped)
    }
}
