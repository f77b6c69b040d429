import SQLiteConnection

/// The changes of one table by sets of keys alone, once a transaction is too large for entries.
struct KeyCounts {
    /// nil for a table that is identified by its primary key.
    private var rowids: CoalescingCounter<RowidSet>?
    private var fingerprints: CoalescingCounter<FingerprintSet>?

    init(hasRowid: Bool) {
        rowids = hasRowid ? CoalescingCounter() : nil
        fingerprints = hasRowid ? nil : CoalescingCounter()
    }

    /// The approximate memory of the sets.
    var byteCount: Int { rowids?.byteCount ?? fingerprints?.byteCount ?? 0 }

    mutating func record(_ operation: RowChange.Operation, rowid: Int64) {
        rowids?.record(operation, rowid)
    }

    mutating func record(_ operation: RowChange.Operation, fingerprint: UInt64) {
        fingerprints?.record(operation, fingerprint)
    }

    func fill(_ rows: inout TableRows) {
        rowids?.fill(&rows)
        fingerprints?.fill(&rows)
    }
}

/// A set of the keys of one table.
protocol KeySet {
    associatedtype Key
    init()
    var count: Int { get }
    var isEmpty: Bool { get }
    /// The approximate memory of the set.
    var byteCount: Int { get }
    mutating func contains(_ key: Key) -> Bool
    @discardableResult mutating func insert(_ key: Key) -> Bool
    @discardableResult mutating func remove(_ key: Key) -> Bool
}

extension RowidSet: KeySet {}
extension FingerprintSet: KeySet {}

/// Coalesces the changes of one table by sets of keys only, when a transaction is too large for entries.
///
/// A key in none of the sets is as it was before the transaction. Exact with one exception: a row whose content changed
/// and returned to its old value within the transaction still counts as updated, since no content is kept.
struct CoalescingCounter<Keys: KeySet> {
    private(set) var inserted = Keys()
    private(set) var updated = Keys()
    private(set) var deleted = Keys()

    var byteCount: Int { inserted.byteCount + updated.byteCount + deleted.byteCount }

    mutating func insert(_ key: Keys.Key) {
        if !deleted.isEmpty, deleted.remove(key) {
            updated.insert(key)
        } else {
            inserted.insert(key)
        }
    }

    mutating func update(_ key: Keys.Key) {
        if inserted.isEmpty || !inserted.contains(key) { updated.insert(key) }
    }

    mutating func delete(_ key: Keys.Key) {
        if !inserted.isEmpty, inserted.remove(key) { return }
        if !updated.isEmpty { updated.remove(key) }
        deleted.insert(key)
    }

    mutating func record(_ operation: RowChange.Operation, _ key: Keys.Key) {
        switch operation {
        case .insert: insert(key)
        case .update: update(key)
        case .delete: delete(key)
        }
    }

    func fill(_ rows: inout TableRows) {
        rows.inserted = inserted.count
        rows.updated = updated.count
        rows.deleted = deleted.count
    }
}

extension RowChange.Operation {
    init(_ operation: UpdateOperation) {
        switch operation {
        case .insert: self = .insert
        case .update: self = .update
        case .delete: self = .delete
        }
    }
}
