import SQLiteConnection

/// What one transaction did to the rows of one table so far: for each row that it touched, the content before the
/// transaction and the content now. Pure: it is told what the hook saw.
///
/// The content before is noted when a row is touched for the first time, which is right whatever is undone later. The
/// content now is right as long as nothing was undone; where something may have been, the driver reads the row again.
struct TableLog {
    /// A touched row.
    struct Entry {
        /// The rowid, or the offset of the primary key's record.
        var key: Int64
        var before: Image
        var now: Image
        /// The ordinals of the statements that touched the row first and last; 0 for one that is as if never touched.
        var firstTouch: UInt32
        var lastTouch: UInt32
    }

    /// A row's content at one moment.
    struct Image: Equatable {
        /// The offset of its record, or one of the constants below.
        var reference: Int

        static let absent = Image(reference: -1)
        /// The row is there; what it holds must be read before the commit.
        static let unread = Image(reference: -2)
        /// The row is there, and its hash is all that is kept of it.
        static let hashed = Image(reference: -3)

        var exists: Bool { self != .absent }
        var record: Int? { reference >= 0 ? reference : nil }
    }

    /// Compared with each other alone: where rows cannot come back, ``before`` is 0 and ``now`` the difference to it.
    struct Hashes {
        var before: UInt64 = 0
        var now: UInt64 = 0
    }

    /// What became of the entry of a row that is touched.
    struct Touch {
        var entry: Int
        /// The row is touched for the first time.
        var isFirst: Bool
        /// The statement that touched it before; 0 when none did.
        var previous: UInt32
    }

    /// The table as it is at the moment.
    private(set) var shape: TableShape
    /// What is kept of each row: what the transaction asked for, less once it grew past a limit.
    private(set) var detail: CaptureLevel { didSet { isPlain = Self.isPlain(shape, detail) } }
    /// Nothing is kept of a row but its rowid, and a hash where it is needed.
    private(set) var isPlain: Bool
    private(set) var entries: [Entry] = []
    /// Of the rows' contents, beside ``entries`` as far as it was needed: what is missing at the end is zero. Empty with the
    /// detail `values`.
    private(set) var hashes: [Hashes] = []
    private(set) var arena = ByteArena()
    private var index = KeyIndex()
    /// The keys are rowids in ascending order, and no index is needed.
    private var isAscending: Bool
    /// Of the last entry while they ascend.
    private var lastKey: Int64 = 0
    private var cursor = 0

    // Past the limits: sets of keys in place of entries.
    private(set) var isCounting = false
    private(set) var rowidCounter: CoalescingCounter<RowidSet>?
    private(set) var fingerprintCounter: CoalescingCounter<FingerprintSet>?
    /// Something of what was netted by sets alone was undone, or they grew too large.
    private(set) var countsAreLost = false
    private var lastTouchOfAny: UInt32 = 0

    init(_ shape: TableShape, detail: CaptureLevel) {
        self.shape = shape
        self.detail = detail
        isPlain = Self.isPlain(shape, detail)
        isIdentifiedByRowid = shape.table.hasRowid
        isAscending = shape.table.hasRowid
    }

    var hasValues: Bool { detail == .values }
    let isIdentifiedByRowid: Bool

    /// The table's columns are others from here on.
    mutating func reshape(_ shape: TableShape) {
        self.shape = shape
        isPlain = Self.isPlain(shape, detail)
    }

    private static func isPlain(_ shape: TableShape, _ detail: CaptureLevel) -> Bool {
        shape.table.hasRowid && !shape.isReadThroughSQL
            && (detail == .counts || detail == .keys && shape.namedKey.isEmpty)
    }

    // MARK: Touching

    /// The entry of the row, made when there is none.
    ///
    /// - Parameter existed: whether the row is there just before this touch.
    @inline(__always)
    mutating func touch(rowid: Int64, existed: Bool, ordinal: UInt32) -> Touch {
        // Statements visit rows in the order of their rowids: most are new at the end.
        if isAscending, rowid > lastKey || entries.isEmpty {
            lastKey = rowid
            return Touch(entry: append(key: rowid, existed, ordinal), isFirst: true, previous: 0)
        }
        return touchElsewhere(rowid: rowid, existed, ordinal)
    }

    /// Takes a row that is new at the end and of which only that it is there before or now is kept. False when it is another
    /// kind of row.
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

    /// As ``touch(rowid:existed:ordinal:)``, for a table that is identified by its primary key.
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
        // Statements come back to rows in the order in which earlier ones visited them.
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

    /// Which of the two contents of an entry is meant.
    enum Moment {
        case before
        case now
    }

    mutating func setAbsent(_ entry: Int) { entries[entry].now = .absent }

    /// The row is there, and what it holds is to be read through SQL.
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

    /// Keeps the hash of a row, with less than the detail `values`; and the record of the columns that name it in messages.
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

    /// The row was there before, and what it held does not matter: it is gone for good.
    @inline(__always)
    mutating func setPresentBefore(_ entry: Int) {
        if entries[entry].before.record == nil { entries[entry].before = .hashed }
    }

    /// Keeps a whole row that was read through SQL, or as much of it as the detail asks for.
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

    /// The whole row before the transaction, in the columns that the table had when it was first touched; nil where that is
    /// not kept. A copy.
    func rowBefore(_ entry: Int) -> Row? {
        guard hasValues, let record = entries[entry].before.record else { return nil }
        return Row(record: arena.withBlock(at: record) { [UInt8]($0) }, count: shape.columnCount)
    }

    /// By what the row of an entry is found.
    func key(of entry: Int) -> RowKey {
        let key = entries[entry].key
        if shape.table.hasRowid { return .rowid(key) }
        // A copy: a row that shared the arena would make its next growth copy all of it.
        return .primaryKey(Row(record: arena.withBlock(at: Int(key)) { [UInt8]($0) }, count: shape.identity.count))
    }

    /// The row is new, or was not there before: its content does not matter.
    mutating func setPresent(_ entry: Int) {
        if entries[entry].now.record == nil { entries[entry].now = .hashed }
    }

    /// Whether messages name rows by columns that are kept beside the hash.
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
        var rowids = CoalescingCounter<RowidSet>()
        var fingerprints = CoalescingCounter<FingerprintSet>()
        for entry in entries.indices {
            if suspects.contains(entries[entry].lastTouch) { countsAreLost = true }
            let (before, now) = (entries[entry].before, entries[entry].now)
            if before == .unread || (now == .unread && before.exists) { countsAreLost = true }
            guard let operation = netOperation(entry) else { continue }
            if shape.table.hasRowid {
                rowids.record(operation, entries[entry].key)
            } else {
                fingerprints.record(operation, Self.hashOfKey(entries[entry].key, false, arena))
            }
        }
        detail = .counts
        isCounting = true
        rowidCounter = shape.table.hasRowid ? rowids : nil
        fingerprintCounter = shape.table.hasRowid ? nil : fingerprints
        entries = []
        hashes = []
        arena = ByteArena()
        index = KeyIndex()
    }

    /// The entries whose content now is not known for sure.
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
        rowidCounter?.record(operation, rowid)
        if rowidCounter.map({ $0.byteCount > maxBytes }) == true { loseCounts() }
    }

    /// As ``count(_:rowid:ordinal:maxBytes:)``, for a table that is identified by its primary key.
    mutating func count(_ operation: UpdateOperation, fingerprint: UInt64, ordinal: UInt32, maxBytes: Int) {
        lastTouchOfAny = ordinal
        if countsAreLost { return }
        fingerprintCounter?.record(operation, fingerprint)
        if fingerprintCounter.map({ $0.byteCount > maxBytes }) == true { loseCounts() }
    }

    /// Something of what was counted is undone, and nothing tells what.
    mutating func noteUndone(since ordinal: UInt32) {
        if isCounting, lastTouchOfAny >= ordinal { loseCounts() }
    }

    /// Gives up on telling what happens to the table's rows.
    mutating func loseCounts() {
        countsAreLost = true
        if rowidCounter != nil { rowidCounter = CoalescingCounter() }
        if fingerprintCounter != nil { fingerprintCounter = CoalescingCounter() }
    }

    /// Forgets the rows that were first touched by that statement or a later one.
    mutating func forget(touchedFirstSince ordinal: UInt32) {
        for entry in entries.indices where entries[entry].firstTouch >= ordinal {
            entries[entry].firstTouch = 0
            entries[entry].lastTouch = 0
            entries[entry].before = .absent
            entries[entry].now = .absent
        }
    }

    // MARK: Netting

    /// Rows before the transaction, by entry, that were brought into the columns of after it; nil where that is not possible,
    /// or no values are kept.
    typealias ConvertedRows = [Int: Row?]

    /// What happened to the row on the whole; nil when it is as it was.
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
            // Hashes of other columns cannot be compared: the row counts as changed.
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

extension CoalescingCounter {
    fileprivate mutating func record(_ operation: UpdateOperation, _ key: Keys.Key) {
        switch operation {
        case .insert: insert(key)
        case .update: update(key)
        case .delete: delete(key)
        }
    }

    fileprivate mutating func record(_ operation: RowChange.Operation, _ key: Keys.Key) {
        switch operation {
        case .insert: insert(key)
        case .update: update(key)
        case .delete: delete(key)
        }
    }
}
