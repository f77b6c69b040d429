import ChangeCapture
import SQLiteConnection

// The lifecycle of queries: start, restart and end.
extension Coordinator {
    // MARK: Subscribing

    func subscribe(_ subscriber: LiveSubscriberID, _ client: UInt64, _ request: LiveQueryRequest) {
        guard countByClient[client, default: 0] < limits.maxQueriesPerClient else {
            let reason = "a connection may have \(limits.maxQueriesPerClient) live queries"
            sink.receive(.refused(subscriber, LiveRefusal(.tooMany, reason)))
            return
        }
        countByClient[client, default: 0] += 1
        begin()
        let identity = LiveQuery.Identity(request)
        if let id = byIdentity[identity], let query = queries[id] {
            add(subscriber, client, request, to: query)
            return
        }
        if let waiting = compiling[identity] {
            compiling[identity] = waiting + [(subscriber, client: client, request)]
            return
        }
        guard queries.count + compiling.count < limits.maxQueries else {
            release(client)
            let reason = "there are \(limits.maxQueries) live queries, which is the limit"
            sink.receive(.refused(subscriber, LiveRefusal(.tooMany, reason)))
            return
        }
        compiling[identity] = [(subscriber, client: client, request)]
        reader.add(.compile(subscriber, client: client, request))
    }

    func compiled(_ request: LiveQueryRequest, _ result: Result<LivePlan, LiveRefusal>) {
        let identity = LiveQuery.Identity(request)
        let waiting = (compiling.removeValue(forKey: identity) ?? []).filter { gone.remove($0.0) == nil }
        switch result {
        case .failure(let refusal):
            for (subscriber, client, _) in waiting {
                release(client)
                sink.receive(.refused(subscriber, refusal))
            }
        case .success(let plan):
            guard let position, !waiting.isEmpty else { return }
            let query = LiveQuery(id: makeID(), request: request, plan: plan, sequence: position.sequence)
            queries[query.id] = query
            byIdentity[identity] = query.id
            byTable = nil
            adjust(query)
            for (subscriber, client, request) in waiting { add(subscriber, client, request, to: query) }
        }
    }

    /// Makes a query run as a whole when it cannot be evaluated by changed rows, although its SQL would allow it.
    private func adjust(_ query: LiveQuery) {
        query.evaluator = nil
        guard query.plan.isIncremental else { return }
        if let reason = query.forcedRerun {
            query.plan = query.plan.asRerun(reason)
        } else if views == nil {
            query.plan = query.plan.asRerun("the database has no write-ahead log")
        }
    }

    private func add(
        _ subscriber: LiveSubscriberID,
        _ client: UInt64,
        _ request: LiveQueryRequest,
        to query: LiveQuery
    ) {
        subscribers[subscriber] = (query.id, client)
        query.idleSince = nil
        let isSame = request.resumes.map { $0 == query.id.description } ?? true
        query.waiting.append(LiveQuery.Waiting(subscriber: subscriber, since: request.since, isSameQuery: isSame))
        serveWaiting(query)
    }

    /// Sends the waiting subscribers what is available: the deltas that they missed, or the rows.
    private func serveWaiting(_ query: LiveQuery) {
        guard query.phase == .live, let position else {
            if query.phase == .loading { readSnapshot(query) }
            return
        }
        let waiting = query.waiting
        query.waiting = []
        for entry in waiting {
            if let since = entry.since, entry.isSameQuery, since.epoch == position.epoch,
                since.sequence <= position.sequence,
                let missed = query.log.since(since.sequence)
            {
                sink.receive(.started(entry.subscriber, query.description, position: since, recovered: true))
                for delta in missed { sink.receive(.missed(entry.subscriber, query.id, delta)) }
                join(entry.subscriber, query)
            } else if let rows = query.keptRows {
                let sequence = query.plan.kind == .rerun ? query.rowsSequence : position.sequence
                let position = LivePosition(epoch: position.epoch, sequence: sequence)
                start(entry, query, rows, at: position)
                join(entry.subscriber, query)
            } else {
                query.waiting.append(entry)
            }
        }
        if !query.waiting.isEmpty { readSnapshot(query) }
    }

    private func start(_ entry: LiveQuery.Waiting, _ query: LiveQuery, _ rows: LiveRows, at position: LivePosition) {
        let recovered: Bool? = entry.since == nil ? nil : false
        sink.receive(.started(entry.subscriber, query.description, position: position, recovered: recovered))
        sink.receive(.snapshot(entry.subscriber, query.description, rows: rows, position: position))
        count(query) { $0.snapshots += 1 }
    }

    private func join(_ subscriber: LiveSubscriberID, _ query: LiveQuery) {
        query.joined.insert(subscriber)
        sink.receive(.joined(subscriber, query.id))
    }

    private func readSnapshot(_ query: LiveQuery) {
        guard !query.isSnapshotUnderWay else { return }
        query.isSnapshotUnderWay = true
        unbegunSnapshots += 1
        reader.add(.snapshot(query.run))
    }

    // MARK: Query results

    func snapshotRead(_ query: LiveQuery, _ seen: LivePosition, _ result: Result<LiveRows, LiveRefusal>) {
        query.isSnapshotUnderWay = false
        defer { query.noteBehind() }
        barriers.remove(seen.sequence)
        guard let position else { return }
        guard seen.epoch == position.epoch else { return readSnapshot(query) }
        let read: LiveRows
        switch result {
        case .failure(let refusal): return end(query, refusal)
        case .success(let rows): read = rows
        }
        guard read.columnCount == query.plan.width else { return reset(query) }
        let wasLoading = query.phase == .loading
        if query.plan.kind == .groups {
            query.touched.removeAll { $0.sequence <= seen.sequence }
            // What a step across the snapshot changed is partly in it.
            guard query.touched.allSatisfy({ $0.from >= seen.sequence }) else { return readSnapshot(query) }
        }
        let rows = query.plan.kind == .groups ? query.takeGroups(read) : read
        switch query.plan.kind {
        case .rows:
            // A snapshot that a coalesced step has already passed cannot be joined to the deltas.
            guard let missed = query.log.since(seen.sequence), missed.first.map({ $0.from >= seen.sequence }) ?? true
            else {
                return readSnapshot(query)
            }
            query.phase = .live
            serve(query, rows, at: seen, missed: Array(missed), wasLoading)
            return
        case .groups:
            let touched = query.touched
            query.touched = []
            query.log = DeltaLog(start: seen.sequence)
            query.phase = .live
            serve(query, rows, at: seen, missed: [], wasLoading)
            var groups: [GroupKey: TouchedGroup] = [:]
            for entry in touched {
                groups.merge(entry.groups) { $0.merging($1) }
            }
            if !groups.isEmpty {
                refresh(query, groups, from: seen.sequence, transactions: touched.count)
            }
        case .rerun:
            query.rows = rows
            query.rowsSequence = seen.sequence
            query.dirty.removeAll { $0 <= seen.sequence }
            query.log = DeltaLog(start: seen.sequence)
            query.phase = .live
            serve(query, rows, at: seen, missed: [], wasLoading)
        }
    }

    private func serve(
        _ query: LiveQuery,
        _ rows: LiveRows,
        at seen: LivePosition,
        missed: [LiveDelta],
        _ wasLoading: Bool
    ) {
        if wasLoading, query.mustReset {
            query.mustReset = false
            count(query) { $0.resets += 1 }
            sink.receive(.reset(query.description, rows: rows, position: seen))
            for delta in missed { sink.receive(.changed(query.id, delta)) }
        }
        let waiting = query.waiting
        query.waiting = []
        for entry in waiting {
            start(entry, query, rows, at: seen)
            for delta in missed { sink.receive(.missed(entry.subscriber, query.id, delta)) }
            join(entry.subscriber, query)
        }
    }

    func ran(
        _ query: LiveQuery,
        _ seen: LivePosition,
        _ time: Duration,
        _ result: Result<LiveRows, LiveRefusal>,
        _ changes: [LiveRowChange]
    ) {
        query.isRunUnderWay = false
        query.nextRun = .now + max(limits.minRunInterval, time)
        count(query) { statistics in
            statistics.runs += 1
            statistics.runTime += time
        }
        guard let position, seen.epoch == position.epoch, query.phase == .live else { return }
        let rows: LiveRows
        switch result {
        case .failure(let refusal): return end(query, refusal)
        case .success(let read): rows = read
        }
        guard rows.columnCount == query.plan.width else { return reset(query) }
        let covered = query.dirty.count { $0 <= seen.sequence }
        query.dirty.removeAll { $0 <= seen.sequence }
        let from = query.rowsSequence
        query.rows = rows
        query.rowsSequence = seen.sequence
        query.noteBehind()
        emit(query, changes, from: from, at: seen, transactions: max(1, covered))
    }

    func scheduleRuns() {
        let now = ContinuousClock.now
        for query in queries.values
        where query.phase == .live && !query.dirty.isEmpty && !query.isRunUnderWay && query.nextRun <= now {
            guard let rows = query.rows else { continue }
            query.isRunUnderWay = true
            reader.add(.run(query.run, previous: rows))
        }
    }

    func failed(_ jobs: [Reader.Job], _ refusal: LiveRefusal) {
        for job in jobs {
            switch job {
            case .compile(_, _, let request):
                compiled(request, .failure(refusal))
            case .recompile(let id, let generation, _):
                guard let query = queries[id], query.generation == generation else { continue }
                end(query, refusal)
            case .snapshot(let run):
                guard let query = queries[run.id], query.generation == run.generation else { continue }
                end(query, refusal)
            case .run(let run, _):
                guard let query = queries[run.id], query.generation == run.generation else { continue }
                // The next commit, or the next epoch, triggers another attempt.
                query.isRunUnderWay = false
                query.nextRun = .now + .seconds(1)
            }
        }
    }

    // MARK: Reset

    /// What was sent is no longer valid: the query is compiled and its rows are read again.
    func reset(_ query: LiveQuery, because reason: String? = nil) {
        if let reason { query.forcedRerun = reason }
        query.generation += 1
        query.phase = .compiling
        query.mustReset = query.mustReset || !query.joined.isEmpty
        query.evaluator = nil
        query.groups = nil
        query.touched = []
        query.rows = nil
        query.dirty = []
        query.isRunUnderWay = false
        query.isSnapshotUnderWay = false
        query.noteBehind()
        byTable = nil
        recompile(query)
    }

    func recompile(_ query: LiveQuery) {
        reader.add(.recompile(query.id, generation: query.generation, query.request))
    }

    func recompiled(_ query: LiveQuery, _ result: Result<LivePlan, LiveRefusal>) {
        guard let position else { return }
        switch result {
        case .failure(let refusal):
            end(query, refusal)
        case .success(let plan):
            query.plan = plan
            adjust(query)
            byTable = nil
            query.phase = .loading
            query.log = DeltaLog(start: position.sequence)
            readSnapshot(query)
        }
    }

    // MARK: End

    func unsubscribe(_ subscriber: LiveSubscriberID) {
        guard let (id, client) = subscribers.removeValue(forKey: subscriber) else {
            for (waiting, client, _) in compiling.values.joined() where waiting == subscriber {
                if gone.insert(subscriber).inserted { release(client) }
            }
            return
        }
        release(client)
        guard let query = queries[id] else { return }
        query.joined.remove(subscriber)
        query.waiting.removeAll { $0.subscriber == subscriber }
        if query.joined.isEmpty, query.waiting.isEmpty { query.idleSince = .now }
    }

    private func release(_ client: UInt64) {
        let count = countByClient[client, default: 1] - 1
        countByClient[client] = count > 0 ? count : nil
    }

    func end(_ query: LiveQuery, _ refusal: LiveRefusal) {
        for entry in query.waiting { sink.receive(.refused(entry.subscriber, refusal)) }
        if !query.joined.isEmpty {
            let joined = query.joined.sorted { $0.number < $1.number }
            sink.receive(.ended(query.id, subscribers: joined, refusal))
        }
        for subscriber in query.waiting.map(\.subscriber) + query.joined {
            if let (_, client) = subscribers.removeValue(forKey: subscriber) { release(client) }
        }
        remove(query)
    }

    private func remove(_ query: LiveQuery) {
        queries[query.id] = nil
        byIdentity[query.identity] = nil
        byTable = nil
    }

    func removeIdle() {
        let now = ContinuousClock.now
        for query in queries.values {
            if let since = query.idleSince, now - since > limits.lingerTime { remove(query) }
        }
        statistics.queries = queries.count
        statistics.subscribers = subscribers.count
    }
}

extension LiveQuery {
    /// The rows sent last, where they are kept.
    fileprivate var keptRows: LiveRows? {
        switch plan.kind {
        case .rows: nil
        case .groups: groups.map { LiveRows($0.values.map(\.row), columnCount: plan.columns.count) }
        case .rerun: rows
        }
    }
}
