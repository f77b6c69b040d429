import ChangeCapture
import SQLiteConnection

// The effects of commits on queries.
extension Coordinator {
    /// Evaluates the pending commits, one by one as long as there are few.
    func evaluatePending() {
        performHeld()
        while !pending.isEmpty, position != nil {
            // Before it is evaluated: an evaluation that fails drops the pending commits.
            let step = pending.prefix(stepLength())
            pending.removeFirst(step.count)
            evaluate(step)
            // Handles results as of a commit that has been reached now.
            performHeld()
        }
        if pending.isEmpty { pending = [] }
    }

    private func stepLength() -> Int {
        guard let first = pending.first, first.schemaChanges.isEmpty, unbegunSnapshots == 0,
            pending.count >= limits.coalesceFromTransactions
        else {
            return 1
        }
        let barrier = barriers.lazy.filter { $0 >= first.position.sequence }.min()
        return pending.prefix { commit in
            commit.schemaChanges.isEmpty && barrier.map { commit.position.sequence <= $0 } ?? true
        }.count
    }

    private func evaluate(_ step: ArraySlice<LiveQueryEngine.Pending>) {
        guard let last = step.last, let from = position?.sequence else { return }
        position = last.position
        evaluatedAt = .now
        barriers = barriers.filter { $0 > last.position.sequence }
        if let views {
            guard let mark = last.mark else { return loseTrack() }
            do { try views.commits.advance(to: mark) } catch { return loseTrack() }
        }
        var changes: [SQLName: ChangedTable] = [:]
        var sequences: [SQLName: Set<UInt64>] = [:]
        for transaction in step {
            for rows in transaction.tables {
                let name = SQLName(rows.table.name)
                let table = changes[name] ?? ChangedTable()
                table.add(rows)
                changes[name] = table
                sequences[name, default: []].insert(transaction.position.sequence)
            }
        }
        let resets = resetForSchema(step)
        for query in concerned(changes.keys) where !resets.contains(query.id) {
            evaluate(query, changes, sequences, from: from)
            if let views,
                views.commits.pinAge > limits.maxPinTime || views.commits.pinnedFrameCount > limits.maxPinnedFrames
            {
                // All remaining queries start again with a snapshot, and the log is released.
                return loseTrack()
            }
        }
    }

    /// The queries that read any of the tables, each once.
    private func concerned(_ tables: some Sequence<SQLName>) -> [LiveQuery] {
        let index: [SQLName: [LiveQuery]]
        if let byTable {
            index = byTable
        } else {
            var made: [SQLName: [LiveQuery]] = [:]
            for query in queries.values.sorted(by: { $0.id.number < $1.id.number }) {
                for name in query.plan.dependencies.keys { made[name, default: []].append(query) }
            }
            byTable = made
            index = made
        }
        var found: [LiveQuery] = []
        var seen: Set<LiveQueryID> = []
        for table in tables {
            for query in index[table] ?? [] where seen.insert(query.id).inserted { found.append(query) }
        }
        return found
    }

    // MARK: Schema changes

    private func resetForSchema(_ step: ArraySlice<LiveQueryEngine.Pending>) -> Set<LiveQueryID> {
        var names: Set<SQLName> = []
        var isChanged = false
        for change in step.lazy.flatMap(\.schemaChanges) {
            isChanged = true
            switch change {
            case .created(let table), .dropped(let table):
                names.insert(SQLName(table.name).caseFolded)
            case .modified(let modification):
                // A new index changes how a query runs and not its result.
                if !modification.isRedefined, modification.table.kind == .table { continue }
                names.insert(SQLName(modification.table.name).caseFolded)
                if let previous = modification.previousName { names.insert(SQLName(previous).caseFolded) }
            }
        }
        guard isChanged, let position else { return [] }
        for name in names { schemaChanges[name] = position.sequence }
        let resets = queries.values.filter { $0.plan.dependsOnSchema(of: names) }
        for query in resets { reset(query) }
        return Set(resets.map(\.id))
    }

    // MARK: One query

    private func evaluate(
        _ query: LiveQuery,
        _ changes: [SQLName: ChangedTable],
        _ sequences: [SQLName: Set<UInt64>],
        from: UInt64
    ) {
        guard query.phase != .compiling, let position else { return }
        var concerning: Set<UInt64> = []
        var isUnknown = false
        for (name, dependency) in query.plan.dependencies {
            guard let table = changes[name], table.concerns(dependency) else { continue }
            concerning.formUnion(sequences[name] ?? [])
            isUnknown = isUnknown || table.isUnknown
        }
        guard !concerning.isEmpty else {
            count(query) { $0.skippedSteps += 1 }
            return
        }
        guard query.plan.isIncremental || query.plan.core != nil, let views, !isUnknown else {
            if query.plan.isIncremental { reset(query) } else { query.dirty.append(contentsOf: concerning.sorted()) }
            query.noteBehind()
            return
        }
        let start = ContinuousClock.now
        views.rights = query.request.rights
        views.deadline.start(limits.maxStepTime)
        defer {
            views.deadline.clear()
            let time = ContinuousClock.now - start
            count(query) { $0.stepTime += time }
            query.noteBehind()
        }
        do throws(StepEvaluator.Failure) {
            guard let evaluator = evaluator(of: query) else { return }
            let cover = try evaluator.cover(changes, views)
            count(query) { $0.incrementalSteps += 1 }
            if cover.isEmpty { return }
            switch query.plan.kind {
            case .rows:
                let (old, new) = try evaluator.rows(cover, views)
                let rows = RowDifference.unordered(old, new, key: query.plan.key)
                emit(query, rows, from: from, at: position, transactions: concerning.count)
            case .groups:
                let groups = try evaluator.groups(cover, views)
                if groups.isEmpty { return }
                if query.groups == nil {
                    query.touched.append((from, position.sequence, groups))
                } else {
                    refresh(query, groups, from: from, transactions: concerning.count)
                }
            case .rerun:
                if try evaluator.exists(cover, views) {
                    query.dirty.append(contentsOf: concerning.sorted())
                } else {
                    count(query) { $0.sparedRuns += 1 }
                }
            }
        } catch {
            fallBack(query, error, concerning)
        }
    }

    private func evaluator(of query: LiveQuery) -> StepEvaluator? {
        if let evaluator = query.evaluator { return evaluator }
        guard let core = query.plan.core else { return nil }
        let evaluator = StepEvaluator(plan: query.plan, core: core, maxKeys: limits.maxChangedKeys, faults: faults)
        query.evaluator = evaluator
        return evaluator
    }

    /// Runs the query as a whole when its changed rows are not enough.
    private func fallBack(_ query: LiveQuery, _ failure: StepEvaluator.Failure, _ concerning: Set<UInt64>) {
        guard query.plan.isIncremental else {
            // The call only checked whether the query must run.
            query.dirty.append(contentsOf: concerning.sorted())
            return
        }
        switch failure {
        case .tooManyKeys, .otherColumns: reset(query)
        case .unknownTotals: reset(query, because: LivePlan.unknownTotals)
        case .tooSlow: reset(query, because: "the step of a commit takes longer than \(limits.maxStepTime)")
        case .sqlite(let error): reset(query, because: "the step of a commit failed: \(error.message)")
        }
    }

    /// Brings groups up to date, as of the coordinator's position.
    func refresh(_ query: LiveQuery, _ groups: [GroupKey: TouchedGroup], from: UInt64, transactions: Int) {
        guard let views, let position, let evaluator = evaluator(of: query) else { return }
        var changes: [LiveRowChange] = []
        views.rights = query.request.rights
        views.deadline.start(limits.maxStepTime)
        do throws(StepEvaluator.Failure) {
            for (key, touched) in groups {
                let before = query.groups?[key]
                let after = try evaluator.group(touched, known: before, views)
                query.groups?[key] = after
                query.groupBytes += (after?.byteCount ?? 0) - (before?.byteCount ?? 0)
                let (known, row) = (before?.row, after?.row)
                guard row != known else { continue }
                let isSameKey = query.plan.key.map { row?.selecting($0) == known?.selecting($0) } ?? false
                // A group can return a different one of several equal values than before.
                if isSameKey || known == nil || row == nil {
                    changes.append(LiveRowChange(before: known, after: row))
                } else {
                    changes.append(LiveRowChange(before: known, after: nil))
                    changes.append(LiveRowChange(before: nil, after: row))
                }
            }
        } catch {
            fallBack(query, error, [])
            return
        }
        let count = query.groups?.count ?? 0
        guard count <= limits.maxRows, query.groupBytes <= limits.maxResultBytes else {
            let found = count > limits.maxRows ? "\(limits.maxRows) rows" : "\(limits.maxResultBytes) bytes"
            end(query, LiveRefusal(.limit, "the result has more than \(found)"))
            return
        }
        emit(query, changes, from: from, at: position, transactions: transactions)
    }

    /// Sends a delta to all joined subscribers, and keeps it for clients that reconnect.
    func emit(
        _ query: LiveQuery,
        _ changes: [LiveRowChange],
        from: UInt64,
        at position: LivePosition,
        transactions: Int
    ) {
        guard !changes.isEmpty else { return }
        let made = LiveDelta(
            query.description,
            from: from,
            position: position,
            transactions: transactions,
            rows: changes
        )
        // The schema that the rows were read with is not the one that the query was compiled with.
        guard let delta = made else { return reset(query) }
        query.log.append(delta, maxDeltas: limits.maxLogDeltas, maxBytes: limits.maxLogBytes)
        guard query.phase == .live else { return }
        count(query) { $0.deltas += 1 }
        if !query.joined.isEmpty { sink.receive(.changed(query.id, delta)) }
    }
}
