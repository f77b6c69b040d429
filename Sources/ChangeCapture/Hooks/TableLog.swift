import SQLiteConnection

/// The effect of one transaction on the rows of one table so far: for each touched row, its content before the
/// transaction and now. Pure: the caller passes what the hook reported.
///
/// The content before is recorded when a row is touched for the first time, which stays right whatever is undone later.
/// The content now is right as long as nothing was undone; where something may have been, the owner reads the row
/// again.
struct TableLog {
    /// A touched row.
    struct Entry {
        /// The rowid, or the offset of the primary key's record.
        var key: Int64
        var before: Image
        var now: Image
        /// The ordinals of the statements that touched the row first and last; 0 for a row that counts as untouched.
        var firstTouch: UInt32
        var lastTouch: UInt32
    }

    /// A row's content at one point of the transaction.
    struct Image: Equatable {
        /// The offset of its record, or one of the constants below.
        var reference: Int

        static let absent = Image(reference: -1)
        /// The row exists; its content must be read before the commit.
        static let unread = Image(reference: -2)
        /// The row exists, and only its hash is kept.
        static let hashed = Image(reference: -3)

        var exists: Bool { self != .absent }
        var record: Int? { reference >= 0 ? reference : nil }
    }

    /// Compared only with each other: where rows cannot come back, ``before`` is 0 and ``now`` is the difference to it.
    struct Hashes {
        var before: UInt64 = 0
        var now: UInt64 = 0
    }

    /// The result of touching a row.
    struct Touch {
        var entry: Int
        /// The row is touched for the first time.
        var isFirst: Bool
        /// The previous statement that touched the row; 0 when there is none.
        var previous: UInt32
    }

    /// The current shape of the table.
    private(set) var shape: TableShape
    /// What is kept of each row: what the transaction asked for, or less after it exceeded a limit.
    private(set) var detail: CaptureLevel { didSet { isPlain = Self.isPlain(shape, detail) } }
    /// Only the rowid is kept of each row, and a hash where it is needed.
    private(set) var isPlain: Bool
    private(set) var entries: [Entry] = []
    /// Hashes of the rows' contents, parallel to ``entries`` as far as needed: missing elements at the end are zero.
    /// Empty with the detail `values`.
    private(set) var hashes: [Hashes] = []
    private(set) var arena = ByteArena()
    private var index = KeyIndex()
    /// The keys are rowids in ascending order, so no index is needed.
    private var isAscending: Bool
    /// The key of the last entry while they ascend.
    private var lastKey: Int64 = 0
    private var cursor = 0

    /// Replaces the entries when the limits are exceeded.
    private(set) var counts: KeyCounts?
    /// Changes that were coalesced by sets only were undone, or the sets grew too large.
    private(set) var countsAreLost = false
    private var lastTouchOfAny: UInt32 = 0

    init(_ shape: TableShape, detail: CaptureLevel) {
        self.shape = shape
        self.detail = detail
        isPlain = Self.isPlain(shape, detail)
        isIdentifiedByRowid = shape.table.hasRowid
        isAscending = shape.table.hasRowid
    }

    var isCounting: Bool { counts != nil }
    var hasValues: Bool { detail == .values }
    let isIdentifiedByRowid: Bool

    /// The table has other columns from here on.
    mutating func reshape(_ shape: TableShape) {
        self.shape = shape
        isPlain = Self.isPlain(shape, detail)
    }

    private static func isPlain(_ shape: TableShape, _ detail: CaptureLevel) -> Bool {
        shape.table.hasRowid && !shape.isReadThroughSQL
            && (detail == .counts || detail == .keys && shape.namedKey.isEmpty)
    }

    // MARK: Touching

    /// The entry of the row, created when there is none.
    ///
    /// - Parameter existed: whether the row exists just before this touch.
    @inline(__always)
    mutating func touch(rowid: Int64, existed: Bool, ordinal: UInt32) -> Touch {
        // Statements visit rows in the order of their rowids: most new entries go to the end.
        if isAscending, rowid > lastKey || entries.isEmpty {
            lastKey = rowid
            return Touch(entry: append(key: rowid, existed, ordinal), isFirst: true, previous: 0)
        }
        return touchElsewhere(rowid: rowid, existed, ordinal)
    }

    /// Records a row with a new highest key of which only its existence before or now is kept. False when the row is of
    /// another kind.
    @inline(__always)
    mutating func take(rowid: Int64, isDeleted: Bool, ordinal: UInt32) -> Bool {
        guard isPlain, isAscending, rowid > lastKey || entries.isEmpty else { return false }
        lastKey = rowid
        lastTouchOfAny = ordinal
        entries.append(
            Entry(
                key: rowid,
                before: isDeleted ? .hashed : .absent,
                now: isDeleted ? .absent : .hashed,
                firstTouch: ordinal,
                lastTouch: ordinal
            )
        )
        return true
    }

    @inline(never)
    private mutating func touchElsewhere(rowid: Int64, _ existed: Bool, _ ordinal: UInt32) -> Touch {
        if let entry = find(rowid) { return touchAgain(entry, existed, ordinal) }
        if isAscending { leaveAscendingOrder() }
        let entry = append(key: rowid, existed, ordinal)
        addToIndex(entry, KeyIndex.hash(rowid))
        return Touch(entry: entry, isFirst: true, previous: 0)
    }

    /// Like ``touch(rowid:existed:ordinal:)``, for a table that is identified by its primary key.
    mutating func touch(
        key header: UnsafeRawBufferPointer,
        _ body: UnsafeRawBufferPointer,
        existed: Bool,
        ordinal: UInt32
    ) -> Touch {
        let hash = Self.fingerprint(header, body)
        let found = index.find(hash) { entry in
            arena.withBlock(at: Int(entries[entry].key)) { key in
                key.count == header.count + body.count && key.prefix(header.count).elementsEqual(header)
                    && key.dropFirst(header.count).elementsEqual(body)
            }
        }
        if let found { return touchAgain(found, existed, ordinal) }
        let entry = append(key: Int64(arena.append(header, body)), existed, ordinal)
        addToIndex(entry, hash)
        return Touch(entry: entry, isFirst: true, previous: 0)
    }

    static func fingerprint(_ header: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer) -> UInt64 {
        ContentHash.hash(body, seed: ContentHash.hash(header))
    }

    private mutating func touchAgain(
        _ entry: Int,
        _ existed: Bool,
        _ ordinal: UInt32
    ) -> Touch {
        cursor = entry
        let previous = entries[entry].lastTouch
        let isFirst = entries[entry].firstTouch == 0
        if isFirst {
            entries[entry].firstTouch = ordinal
            entries[entry].before = existed ? .unread : .absent
        }
        entries[entry].lastTouch = ordinal
        lastTouchOfAny = ordinal
        return Touch(entry: entry, isFirst: isFirst, previous: previous)
    }

    @inline(__always)
    private mutating func append(key: Int64, _ existed: Bool, _ ordinal: UInt32) -> Int {
        let image: Image = existed ? .unread : .absent
        entries.append(Entry(key: key, before: image, now: image, firstTouch: ordinal, lastTouch: ordinal))
        lastTouchOfAny = ordinal
        cursor = entries.count - 1
        return cursor
    }

    // MARK: Finding

    @inline(__always)
    private mutating func find(_ rowid: Int64) -> Int? {
        guard isAscending else {
            return index.find(KeyIndex.hash(rowid)) { entries[$0].key == rowid }
        }
        guard !entries.isEmpty, rowid <= lastKey else { return nil }
        // Statements return to rows in the order in which earlier ones visited them.
        if entries[cursor].key == rowid { return cursor }
        if cursor + 1 < entries.count, entries[cursor + 1].key == rowid { return cursor + 1 }
        var start = 0
        var end = entries.count
        while start < end {
            let middle = (start + end) / 2
            if entries[middle].key < rowid { start = middle + 1 } else { end = middle }
        }
        return start < entries.count && entries[start].key == rowid ? start : nil
    }

    private mutating func leaveAscendingOrder() {
        isAscending = false
        for entry in entries.indices { addToIndex(entry, KeyIndex.hash(entries[entry].key)) }
    }

    private mutating func addToIndex(_ entry: Int, _ hash: UInt64) {
        let entries = entries
        let arena = arena
        let hasRowid = shape.table.hasRowid
        index.insert(entry, hash: hash) { Self.hashOfKey(entries[$0].key, hasRowid, arena) }
    }

    private static func hashOfKey(_ key: Int64, _ hasRowid: Bool, _ arena: ByteArena) -> UInt64 {
        hasRowid
            ? KeyIndex.hash(key)
            : arena.withBlock(at: Int(key)) { block in
                // The header of a record begins with its own size.
                var start = 0
                let header = Int(Varint.read(block, at: &start) ?? 0)
                return fingerprint(
                    UnsafeRawBufferPointer(rebasing: block[..<header]),
                    UnsafeRawBufferPointer(rebasing: block[header...])
                )
            }
    }

    // MARK: Contents

    /// One of the two contents of an entry.
    enum Moment {
        case before
        case now
    }

    mutating func setAbsent(_ entry: Int) { entries[entry].now = .absent }

    /// The row exists, and its content must be read through SQL.
    mutating func setUnread(_ entry: Int) { entries[entry].now = .unread }

    /// Keeps a whole row, with the detail `values`.
    mutating func setRecord(
        _ entry: Int,
        _ moment: Moment,
        _ header: UnsafeRawBufferPointer,
        _ body: UnsafeRawBufferPointer
    ) {
        switch moment {
        case .before:
            entries[entry].before.reference = arena.append(header, body)
        case .now:
            let old = entries[entry].now.record
            entries[entry].now.reference =
                old.map { arena.replace($0, header, body) } ?? arena.append(header, body)
        }
    }

    /// Keeps the hash of a row, when the detail is less than `values`, and the record of the columns that name it in
    /// messages.
    @inline(__always)
    mutating func setHash(_ entry: Int, _ moment: Moment, _ hash: UInt64) {
        if entry >= hashes.count { growHashes(entry) }
        switch moment {
        case .before:
            hashes[entry].before = hash
            if entries[entry].before.record == nil { entries[entry].before = .hashed }
        case .now:
            hashes[entry].now = hash
            if entries[entry].now.record == nil { entries[entry].now = .hashed }
        }
    }

    private mutating func growHashes(_ entry: Int) {
        if entry > hashes.count {
            hashes.append(contentsOf: repeatElement(Hashes(), count: entry - hashes.count))
        }
        hashes.append(Hashes())
    }

    func hashes(of entry: Int) -> Hashes { entry < hashes.count ? hashes[entry] : Hashes() }

    /// The row existed before, and its old content does not matter: it is deleted for good.
    @inline(__always)
    mutating func setPresentBefore(_ entry: Int) {
        if entries[entry].before.record == nil { entries[entry].before = .hashed }
    }

    /// Keeps a whole row that was read through SQL, or the part that the detail asks for.
    mutating func keep(_ encoder: inout RecordEncoder, _ entry: Int, _ moment: Moment) {
        if hasValues {
            encoder.finish { setRecord(entry, moment, $0, $1) }
            return
        }
        let record = encoder.finish { header, body in [UInt8](header) + [UInt8](body) }
        let row = Row(record: record, count: shape.columnCount)
        if keepsNamedKey {
            row.selecting(shape.namedKey).withRecord {
                setRecord(entry, moment, $0, UnsafeRawBufferPointer(start: nil, count: 0))
            }
        }
        setHash(entry, moment, row.withRecord(ContentHash.hash(record:)))
    }

    func exists(_ entry: Int, _ moment: Moment) -> Bool {
        moment == .before ? entries[entry].before.exists : entries[entry].now.exists
    }

    /// Replaces the row as of now by the same row in other columns; nil when it is not known.
    mutating func replaceRowNow(_ entry: Int, _ row: Row?) {
        guard hasValues else { return }
        guard let row else { return setUnread(entry) }
        row.withRecord { setRecord(entry, .now, $0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    }

    /// The whole row in the columns that the table had when it was recorded: when it was first touched, or last; nil when it
    /// is not kept. A copy.
    func row(_ entry: Int, _ moment: Moment) -> Row? {
        let image = moment == .before ? entries[entry].before : entries[entry].now
        guard hasValues, let record = image.record else { return nil }
        return Row(record: arena.withBlock(at: record) { [UInt8]($0) }, count: shape.columnCount)
    }

    /// The key of an entry's row.
    func key(of entry: Int) -> RowKey {
        let key = entries[entry].key
        if shape.table.hasRowid { return .rowid(key) }
        // A copy: a row that shared the arena would make the arena copy everything at its next growth.
        return .primaryKey(Row(record: arena.withBlock(at: Int(key)) { [UInt8]($0) }, count: shape.identity.count))
    }

    /// The row is new, or did not exist before: its content does not matter.
    mutating func setPresent(_ entry: Int) {
        if entries[entry].now.record == nil { entries[entry].now = .hashed }
    }

    /// Whether messages name rows by columns that are kept in addition to the hash.
    var keepsNamedKey: Bool { detail == .keys && !shape.namedKey.isEmpty }

    // MARK: Limits

    /// Bytes of values and keys kept.
    var byteCount: Int { arena.count }

    /// Drops the values and keeps hashes and keys.
    mutating func dropValues() {
        guard detail == .values else { return }
        detail = .keys
        let old = arena
        arena = ByteArena()
        hashes = []
        hashes.reserveCapacity(entries.count)
        for entry in entries.indices {
            if !shape.table.hasRowid { entries[entry].key = Int64(copy(old, Int(entries[entry].key))) }
            var hash = Hashes(before: 0, now: 0)
            if let record = entries[entry].before.record {
                hash.before = old.withBlock(at: record, ContentHash.hash(record:))
                entries[entry].before = namedKey(of: record, in: old)
            }
            if let record = entries[entry].now.record {
                hash.now = old.withBlock(at: record, ContentHash.hash(record:))
                entries[entry].now = namedKey(of: record, in: old)
            }
            hashes.append(hash)
        }
    }

    private mutating func copy(_ other: ByteArena, _ offset: Int) -> Int {
        other.withBlock(at: offset) { arena.append($0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    }

    private mutating func namedKey(of record: Int, in other: ByteArena) -> Image {
        guard !shape.namedKey.isEmpty else { return .hashed }
        let row = Row(sharing: other.bytes, bytes: other.range(at: record), count: shape.table.columns.count)
        return row.selecting(shape.namedKey).withRecord { bytes in
            Image(reference: arena.append(bytes, UnsafeRawBufferPointer(start: nil, count: 0)))
        }
    }

    /// Drops the entries and keeps sets of keys.
    mutating func dropEntries(suspects: OrdinalRanges) {
        guard !isCounting else { return }
        var counts = KeyCounts(hasRowid: shape.table.hasRowid)
        for entry in entries.indices {
            if suspects.contains(entries[entry].lastTouch) { countsAreLost = true }
            let (before, now) = (entries[entry].before, entries[entry].now)
            if before == .unread || (now == .unread && before.exists) { countsAreLost = true }
            guard let operation = netOperation(entry) else { continue }
            if shape.table.hasRowid {
                counts.record(operation, rowid: entries[entry].key)
            } else {
                counts.record(operation, fingerprint: Self.hashOfKey(entries[entry].key, false, arena))
            }
        }
        detail = .counts
        self.counts = counts
        entries = []
        hashes = []
        arena = ByteArena()
        index = KeyIndex()
    }

    /// The entries whose current content is not certain.
    func entriesToRead(suspects: OrdinalRanges, all: Bool) -> [Int] {
        entries.indices.filter { entry in
            let state = entries[entry]
            guard state.firstTouch != 0 else { return false }
            return all || state.now == .unread || suspects.contains(state.lastTouch)
        }
    }

    /// Counts an event without an entry.
    mutating func count(_ operation: UpdateOperation, rowid: Int64, ordinal: UInt32, maxBytes: Int) {
        lastTouchOfAny = ordinal
        if countsAreLost { return }
        counts?.record(RowChange.Operation(operation), rowid: rowid)
        if (counts?.byteCount ?? 0) > maxBytes { loseCounts() }
    }

    /// Like ``count(_:rowid:ordinal:maxBytes:)``, for a table that is identified by its primary key.
    mutating func count(_ operation: UpdateOperation, fingerprint: UInt64, ordinal: UInt32, maxBytes: Int) {
        lastTouchOfAny = ordinal
        if countsAreLost { return }
        counts?.record(RowChange.Operation(operation), fingerprint: fingerprint)
        if (counts?.byteCount ?? 0) > maxBytes { loseCounts() }
    }

    /// Some of the counted changes were undone, and it is unknown which.
    mutating func noteUndone(since ordinal: UInt32) {
        if isCounting, lastTouchOfAny >= ordinal { loseCounts() }
    }

    /// Stops tracking what happens to the table's rows.
    mutating func loseCounts() {
        countsAreLost = true
        if counts != nil { counts = KeyCounts(hasRowid: shape.table.hasRowid) }
    }

    /// Drops the rows that were first touched by that statement or a later one.
    mutating func forget(touchedFirstSince ordinal: UInt32) {
        for entry in entries.indices where entries[entry].firstTouch >= ordinal {
            entries[entry].firstTouch = 0
            entries[entry].lastTouch = 0
            entries[entry].before = .absent
            entries[entry].now = .absent
        }
    }

    // MARK: Coalescing

    /// Rows from before the transaction, by entry, converted to the columns after it; nil when that is impossible, or
    /// no values are kept.
    typealias ConvertedRows = [Int: Row?]

    /// The net effect on the row; nil when it did not change.
    func netOperation(_ entry: Int, converted: ConvertedRows = [:]) -> RowChange.Operation? {
        let (before, now) = (entries[entry].before, entries[entry].now)
        switch (before.exists, now.exists) {
        case (false, false): return nil
        case (false, true): return .insert
        case (true, false): return .delete
        case (true, true): return isSame(entry, converted) ? nil : .update
        }
    }

    private func isSame(_ entry: Int, _ converted: ConvertedRows) -> Bool {
        let (before, now) = (entries[entry].before, entries[entry].now)
        if let row = converted[entry] {
            // Hashes over other columns cannot be compared: the row counts as changed.
            guard let row, let new = now.record else { return false }
            return row.withRecord { old in arena.withBlock(at: new) { old.elementsEqual($0) } }
        }
        if before == .unread || now == .unread { return false }
        if detail != .values {
            let hashes = hashes(of: entry)
            return hashes.before == hashes.now
        }
        guard let old = before.record, let new = now.record else { return false }
        return arena.areEqual(old, new)
    }
}
