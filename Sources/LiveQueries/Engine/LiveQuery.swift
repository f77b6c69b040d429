import ChangeCapture
import SQLiteConnection

/// The deltas of one query that are kept for clients that reconnect.
struct DeltaLog {
    /// The log has every delta after this sequence number.
    private(set) var start: UInt64
    private(set) var deltas: [LiveDelta] = []
    private var byteCount = 0

    init(start: UInt64) { self.start = start }

    mutating func append(_ delta: LiveDelta, maxDeltas: Int, maxBytes: Int) {
        deltas.append(delta)
        byteCount += delta.byteCount
        // Removing elements from the front of an array is expensive, so several are removed at once.
        guard deltas.count > maxDeltas || byteCount > maxBytes else { return }
        let keep = maxDeltas / 2
        while let first = deltas.first, deltas.count > keep || byteCount > maxBytes / 2 {
            start = first.position.sequence
            byteCount -= first.byteCount
            deltas.removeFirst()
        }
    }

    /// The deltas after a sequence number; nil when some are no longer kept.
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

/// A live query, shared by all of its subscribers. Belongs to the coordinator's thread.
final class LiveQuery {
    /// Requests with the same identity share one query.
    struct Identity: Hashable {
        var sql: SQLName
        var parameters: LiveParameters
        var key: [SQLName]?
        var rights: SQLName

        init(_ request: LiveQueryRequest) {
            sql = SQLName(request.sql)
            parameters = request.parameters
            key = request.key?.map { SQLName($0) }
            rights = SQLName(request.rights.identity)
        }
    }

    enum Phase {
        /// It is being compiled again, after a schema change.
        case compiling
        /// Its rows are being read, for the first time or again.
        case loading
        case live
    }

    struct Waiting {
        var subscriber: LiveSubscriberID
        var since: LivePosition?
        /// Whether ``since`` belongs to this query, as far as is known.
        var isSameQuery = true
    }

    let id: LiveQueryID
    let request: LiveQueryRequest
    let identity: Identity
    var plan: LivePlan {
        didSet { description = LiveQueryDescription(id, plan) }
    }
    /// What the subscribers receive about ``plan``.
    private(set) var description: LiveQueryDescription
    var evaluator: StepEvaluator?
    var phase = Phase.loading
    /// Results of jobs of an earlier generation are dropped.
    var generation = 0
    /// Subscribers that need a new snapshot, because what they have is not valid any more.
    var mustReset = false
    /// The reason why it runs as a whole although its plan is incremental; nil when it does not.
    var forcedRerun: String?
    /// The subscribers that receive its deltas.
    var joined: Set<LiveSubscriberID> = []
    var waiting: [Waiting] = []
    var isSnapshotUnderWay = false

    /// Every delta since the query was registered.
    var log: DeltaLog
    /// The groups as they were sent; nil until they have been read.
    var groups: [GroupKey: KeptGroup]?
    /// Bytes of ``groups``.
    var groupBytes = 0
    /// Groups touched while the first rows are read, with the sequence numbers before and after.
    var touched: [(from: UInt64, sequence: UInt64, groups: [GroupKey: TouchedGroup])] = []
    /// The rows sent last, for a query that runs as a whole.
    var rows: LiveRows?
    /// The sequence number of ``rows``.
    var rowsSequence: UInt64 = 0
    /// Later commits that may have changed them.
    var dirty: [UInt64] = []
    var isRunUnderWay = false
    var nextRun = ContinuousClock.now
    var statistics = LiveQueryStatistics()
    /// When the first commit arrived that its rows do not reflect; nil if there is none.
    private(set) var behindSince: ContinuousClock.Instant?
    /// When its last subscriber left; nil while it has one.
    var idleSince: ContinuousClock.Instant?

    init(id: LiveQueryID, request: LiveQueryRequest, plan: LivePlan, sequence: UInt64) {
        self.id = id
        self.request = request
        self.plan = plan
        description = LiveQueryDescription(id, plan)
        identity = Identity(request)
        log = DeltaLog(start: sequence)
    }

    var run: Reader.Run {
        Reader.Run(
            id: id,
            generation: generation,
            sql: plan.sql,
            values: plan.values,
            rights: request.rights,
            isOrdered: plan.isOrdered,
            key: plan.key,
            mustCheckKey: plan.mustCheckKey
        )
    }

    /// Call it when a commit has arrived, and when one has been evaluated.
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

    /// Whether the subscribers have the exact result as of the coordinator's position.
    var isExact: Bool { phase == .live && dirty.isEmpty }

    func runAsWhole(because reason: String) {
        forcedRerun = reason
        plan = plan.asRerun(reason)
        evaluator = nil
    }

    /// Takes the groups from a whole run, in which the last columns are the groups' keys and totals.
    ///
    /// - Returns: the result's rows. If they cannot be counted on, the query's plan is to run as a whole.
    func takeGroups(_ rows: LiveRows) -> LiveRows {
        let count = plan.columns.count
        let collations = plan.core?.groups.map(\.collation) ?? []
        var groups: [GroupKey: KeptGroup] = [:]
        var stripped: [Row] = []
        groupBytes = 0
        for row in rows.rows {
            let values = row.values
            let keyEnd = count + collations.count
            let key = GroupKey(Array(values[count..<keyEnd]), collations)
            let result = Row(Array(values[..<count]))
            let group = KeptGroup(row: result, totals: RunningAggregates.Totals(values[keyEnd...]))
            groups[key] = group
            groupBytes += group.byteCount
            stripped.append(result)
        }
        self.groups = groups
        if collations.isEmpty, let totals = groups.values.first?.totals, plan.core?.running?.row([], totals) == nil {
            dirty = touched.map(\.sequence)
            self.groups = nil
            touched = []
            runAsWhole(because: LivePlan.unknownTotals)
        }
        return LiveRows(stripped, columnCount: count)
    }
}

extension LiveQueryDescription {
    fileprivate init(_ id: LiveQueryID, _ plan: LivePlan) {
        self.init(
            id: id,
            columns: plan.columns,
            key: plan.key,
            isIncremental: plan.isIncremental,
            rerunReason: plan.rerunReason,
            tables: plan.dependencies.keys.map(\.string).sorted(),
            isOrdered: plan.isOrdered
        )
    }
}
