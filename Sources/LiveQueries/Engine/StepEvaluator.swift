import ChangeCapture
import SQLiteConnection

/// Finds the changes that a commit makes in the result of an incremental query, only from the changed rows: runs SQL on
/// the state before and after it, restricted to the rows of the result that come from them.
///
/// Rows that a set of keys of some tables does not cover come from the same rows before and after, and are therefore
/// equal. A table on the right side of a LEFT JOIN is covered through its ``SelectCore/Item/anchor``: by the rows of
/// the anchor table that join a changed row before or after.
///
/// For one query on one pair of views; use it on one thread.
final class StepEvaluator {
    enum Failure: Error {
        /// More keys than allowed.
        case tooManyKeys
        /// The row of all rows cannot be counted on.
        case unknownTotals
        /// A row does not have the columns that the query was compiled with.
        case otherColumns
        /// The evaluation took too long.
        case tooSlow
        case sqlite(SQLiteError)
    }

    private let plan: LivePlan
    private let core: SelectCore
    private let faults: LiveQueryFaults
    private let maxKeys: Int
    /// By the connection's number.
    private var statements: [[Query: KeptStatement]] = [[:], [:]]
    private var builder = RowBuilder()

    init(plan: LivePlan, core: SelectCore, maxKeys: Int, faults: LiveQueryFaults) {
        self.plan = plan
        self.core = core
        self.maxKeys = maxKeys
        self.faults = faults
    }

    /// A statement of the plan. Its SQL is made once.
    private enum Query: Hashable {
        case covered(SelectCore.Projection, [SelectCore.Restriction])
        case affected(item: Int, SelectCore.Restriction)
        case group

        func sql(_ core: SelectCore) -> String {
            switch self {
            case .covered(let projection, let restrictions): core.covered(projection, restrictions)
            case .affected(let item, let restriction): core.affected(item, restriction)
            case .group: core.group
            }
        }
    }

    /// The keys of anchors whose rows may have changed.
    struct Cover {
        var sets: [Int: Set<[SQLiteValue]>] = [:]
        /// Whether the state before, or after, can contain such rows.
        var hasOld = false
        var hasNew = false

        var isEmpty: Bool { sets.isEmpty }
    }

    func cover(_ changes: [SQLName: ChangedTable], _ views: ViewPair) throws(Failure) -> Cover {
        var cover = Cover()
        for (number, item) in core.items.enumerated() {
            guard let changed = changes[SQLName(item.table.name)],
                let dependency = plan.dependencies[SQLName(item.table.name)],
                changed.concerns(dependency), !changed.keys.isEmpty
            else { continue }
            if item.anchorOf == nil {
                cover.sets[number, default: []].formUnion(changed.keys)
                cover.hasOld = cover.hasOld || changed.hasOld
                cover.hasNew = cover.hasNew || changed.hasNew
            } else if !faults.contains(.noLeftJoins) {
                for side in 0..<2 {
                    for keys in try affected(number, changed.keys, side, views) {
                        cover.sets[item.anchor, default: []].insert(keys)
                    }
                }
                if cover.sets[item.anchor] != nil { (cover.hasOld, cover.hasNew) = (true, true) }
            }
            if cover.sets.values.reduce(0, { $0 + $1.count }) > maxKeys { throw .tooManyKeys }
        }
        return cover
    }

    private func affected(
        _ number: Int,
        _ keys: Set<[SQLiteValue]>,
        _ side: Int,
        _ views: ViewPair
    ) throws(Failure) -> [[SQLiteValue]] {
        var table: String?
        if keys.count > 1 {
            table = try wrap { () throws(SQLiteError) in try views.load(keys, slot: core.items.count, on: side) }
        }
        let restriction = SelectCore.Restriction(item: number, table: table, isExcluded: false)
        let rows = try run(.affected(item: number, restriction), side, views, key: table == nil ? keys.first : nil)
        return rows.map(\.values)
    }

    /// The rows of the result that the cover contains, before and after.
    func rows(_ cover: Cover, _ views: ViewPair) throws(Failure) -> (old: [Row], new: [Row]) {
        (
            cover.hasOld ? try rows(.result, cover, 0, views) : [],
            cover.hasNew ? try rows(.result, cover, 1, views) : []
        )
    }

    /// The groups of the rows that the cover contains, before or after.
    func groups(_ cover: Cover, _ views: ViewPair) throws(Failure) -> [GroupKey: TouchedGroup] {
        let collations = core.groups.map(\.collation)
        var groups: [GroupKey: TouchedGroup] = [:]
        for side in 0..<2 where side == 0 ? cover.hasOld && !faults.contains(.noOldGroups) : cover.hasNew {
            for row in try rows(.groups, cover, side, views) {
                let values = row.values
                let key = Array(values[..<core.groups.count])
                let contribution = RunningAggregates.Totals(values[core.groups.count...])
                // Without GROUP BY there is a row of totals even if there are no rows.
                if core.groups.isEmpty, contribution?.rows == 0 { continue }
                var group =
                    groups[GroupKey(key, collations)]
                    ?? TouchedGroup(key: key, change: core.running?.noTotals)
                if let contribution {
                    if side == 0 { group.change?.subtract(contribution) } else { group.change?.add(contribution) }
                }
                groups[GroupKey(key, collations)] = group
                if groups.count > maxKeys { throw .tooManyKeys }
            }
        }
        return groups
    }

    /// Whether the cover contains any row.
    func exists(_ cover: Cover, _ views: ViewPair) throws(Failure) -> Bool {
        for side in 0..<2 where side == 0 ? cover.hasOld : cover.hasNew {
            if try !rows(.existence, cover, side, views).isEmpty { return true }
        }
        return false
    }

    /// One group as of the state after; nil when it has no rows any more.
    ///
    /// - Parameter known: the group as it was before.
    func group(
        _ touched: TouchedGroup,
        known: KeptGroup?,
        _ views: ViewPair
    ) throws(Failure) -> KeptGroup? {
        guard let running = core.running else {
            return try group(touched.key, views).map { KeptGroup(row: $0, totals: nil) }
        }
        if var totals = known.map(\.totals) ?? running.noTotals, let change = touched.change {
            totals.add(change)
            if totals.rows == 0, !core.groups.isEmpty { return nil }
            if totals.rows >= 0, let row = running.row(touched.key, totals) {
                return KeptGroup(row: row, totals: totals)
            }
        }
        if core.groups.isEmpty { throw .unknownTotals }
        return try group(touched.key, views).map { KeptGroup(result: $0, columnCount: plan.columns.count) }
    }

    private func group(_ key: [SQLiteValue], _ views: ViewPair) throws(Failure) -> Row? {
        guard let row = try run(.group, 1, views, key: key).first else { return nil }
        guard row.count == plan.columns.count + core.totalsCount else { throw .otherColumns }
        return row
    }

    private func rows(
        _ projection: SelectCore.Projection,
        _ cover: Cover,
        _ side: Int,
        _ views: ViewPair
    ) throws(Failure) -> [Row] {
        var rows: [Row] = []
        var excluded: [SelectCore.Restriction] = []
        let numbers = cover.sets.keys.sorted()
        for number in numbers {
            guard let keys = cover.sets[number] else { continue }
            let isLast = number == numbers.last
            // A key that the next item excludes must be in a table.
            let isSingle = keys.count == 1 && (isLast || numbers.count == 1)
            let table =
                isSingle ? nil : try wrap { () throws(SQLiteError) in try views.load(keys, slot: number, on: side) }
            let own = SelectCore.Restriction(item: number, table: table, isExcluded: false)
            let restrictions = faults.contains(.noRestriction) ? [] : excluded + [own]
            rows += try run(
                .covered(projection, restrictions),
                side,
                views,
                key: isSingle && !faults.contains(.noRestriction) ? keys.first : nil
            )
            if !faults.contains(.noExclusion) {
                excluded.append(SelectCore.Restriction(item: number, table: table, isExcluded: true))
            }
        }
        return rows
    }

    private func run(
        _ query: Query,
        _ side: Int,
        _ views: ViewPair,
        key: [SQLiteValue]?
    ) throws(Failure) -> [Row] {
        let side = faults.contains(.noStateBefore) ? 1 : side
        let view = views.number(of: side)
        do throws(SQLiteError) {
            let connection = views.connection(side)
            let kept: KeptStatement
            if let known = statements[view][query] {
                kept = known
            } else {
                kept = try KeptStatement(query.sql(core), on: connection)
                // A step can leave out the part of the query that has its last parameters.
                try kept.bind(Array(plan.values.prefix(kept.statement.parameterCount)))
                statements[view][query] = kept
            }
            if let key { try kept.bind(key, from: core.nextParameter) }
            var rows: [Row] = []
            try kept.forEachRow(&builder) { row in
                rows.append(row)
                return true
            }
            return rows
        } catch {
            throw views.deadline.isExceeded ? .tooSlow : .sqlite(error)
        }
    }

    private func wrap<R>(_ body: () throws(SQLiteError) -> R) throws(Failure) -> R {
        do { return try body() } catch { throw .sqlite(error) }
    }
}
