import SQLiteConnection

/// A set of the keys of one table.
protocol KeySet {
    associatedtype Key
    init()
    var count: Int { get }
    var isEmpty: Bool { get }
    /// About what the set occupies.
    var byteCount: Int { get }
    mutating func contains(_ key: Key) -> Bool
    @discardableResult mutating func insert(_ key: Key) -> Bool
    @discardableResult mutating func remove(_ key: Key) -> Bool
}

extension RowidSet: KeySet {}
extension FingerprintSet: KeySet {}

/// Nets what happened to the rows of one table by sets of keys alone, where a transaction is too large for more.
///
/// A key in none of the sets is as it was before the transaction. Exact but for one thing: a row whose content changed and
/// came back to what it was within the transaction still counts as updated, since no content is kept.
struct NetCounter<Keys: KeySet> {
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
}
