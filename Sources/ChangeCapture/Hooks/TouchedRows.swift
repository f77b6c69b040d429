import SQLiteConnection

/// The rows that the open transaction touched, in all tables, and which of them may have been undone.
struct TouchedRows {
    /// A table with touched rows, by its name before the transaction.
    struct Source {
        var baseName: SQLName
        var isShadow: Bool
    }

    let level: CaptureLevel
    let limits: CaptureLimits
    var tables: [TableLog] = []
    /// Parallel to ``tables``.
    private(set) var sources: [Source] = []
    /// The ordinal of the running statement, or of the last one.
    private(set) var ordinal: UInt32 = 0
    private(set) var suspects = OrdinalRanges()
    /// Nil when there are none: a cheap check for the code that runs once per row.
    var suspectsIfAny: OrdinalRanges? { suspects.isEmpty ? nil : suspects }
    private var eventCount = 0
    private var eventCountAtStatement = 0

    init(level: CaptureLevel, limits: CaptureLimits) {
        self.level = level
        self.limits = limits
    }

    // MARK: Statements

    mutating func statementBegins() {
        ordinal += 1
        eventCountAtStatement = eventCount
    }

    /// Updates the recorded rows after a statement ended.
    ///
    /// - Parameters:
    ///   - failed: it ended with an error, or is a `ROLLBACK TO`. SQLite does not report whether the rows of a failed
    ///     statement were kept (FAIL) or undone (ABORT).
    ///   - isRollbackTo: it returns to an unknown savepoint: all rows so far may be affected.
    mutating func statementEnds(failed: Bool, isRollbackTo: Bool) {
        guard failed, eventCount > 0 else { return }
        if isRollbackTo {
            suspect(since: 1)
        } else if eventCount > eventCountAtStatement {
            suspect(since: ordinal)
        }
    }

    /// Rows that a statement since `first` touched last must be read again.
    private mutating func suspect(since first: UInt32) {
        suspects.insert(first...ordinal)
        for table in tables.indices { tables[table].noteUndone(since: first) }
    }

    /// Drops the rows that were first touched by that statement or a later one; all of these are undone, and their
    /// content was recorded in columns that the table no longer has.
    mutating func forget(touchedFirstSince ordinal: UInt32) {
        for table in tables.indices { tables[table].forget(touchedFirstSince: ordinal) }
    }

    /// Stops tracking what happened to the rows.
    mutating func loseCounts() {
        for table in tables.indices { tables[table].loseCounts() }
    }

    // MARK: Rows

    /// The log of a table, created when there is none.
    mutating func table(_ baseName: SQLName, _ shape: TableShape, isShadow: Bool) -> Int {
        if let known = sources.firstIndex(where: { $0.baseName == baseName }) {
            tables[known].reshape(shape)
            return known
        }
        sources.append(Source(baseName: baseName, isShadow: isShadow))
        // For a shadow table it only matters whether it changed.
        tables.append(TableLog(shape, detail: isShadow ? .counts : level))
        return tables.count - 1
    }

    /// Whether rows of the table may have been undone.
    func hasSuspects(of table: Int) -> Bool {
        tables[table].entries.contains { suspects.contains($0.lastTouch) }
    }

    mutating func count(_ table: Int, _ operation: UpdateOperation, rowid: Int64) {
        tables[table].count(operation, rowid: rowid, ordinal: ordinal, maxBytes: limits.maxKeySetBytes)
    }

    mutating func count(_ table: Int, _ operation: UpdateOperation, fingerprint: UInt64) {
        tables[table].count(operation, fingerprint: fingerprint, ordinal: ordinal, maxBytes: limits.maxKeySetBytes)
    }

    @inline(__always)
    mutating func noteEvent() { eventCount += 1 }

    var isEmpty: Bool { eventCount == 0 }

    /// Keeps the recorded rows within the limits: reduces the detail of the largest table first. Cheap enough to call
    /// after every event.
    @inline(__always)
    mutating func enforceLimits(rowsAdded: Int, bytesAdded: Int) {
        rowCount += rowsAdded
        byteCount += bytesAdded
        if rowCount > limits.maxRows || byteCount > limits.maxValueBytes { shed() }
    }
    private var rowCount = 0
    private var byteCount = 0

    @inline(never)
    private mutating func shed() {
        recount()
        while byteCount > limits.maxValueBytes,
            let largest = tables.indices.max(by: { tables[$0].byteCount < tables[$1].byteCount })
        {
            if tables[largest].hasValues {
                tables[largest].dropValues()
            } else {
                tables[largest].dropEntries(suspects: suspects)
            }
            recount()
        }
        while rowCount > limits.maxRows,
            let largest = tables.indices.max(by: { tables[$0].entries.count < tables[$1].entries.count })
        {
            tables[largest].dropEntries(suspects: suspects)
            recount()
        }
    }

    private mutating func recount() {
        rowCount = tables.reduce(0) { $0 + $1.entries.count }
        byteCount = tables.reduce(0) { $0 + $1.byteCount }
    }
}

/// A set of rowids that is compact where they are dense: blocks of 65,536 neighbours, each a sorted list of offsets
/// while it holds few of them and a bitmap when it holds many.
///
/// Five million consecutive rowids take 0.7 MB. Rowids scattered over all 64 bits take about 100 bytes each.
struct RowidSet {
    private enum Block {
        case list([UInt16])
        case bitmap([UInt64])

        static let listLimit = 2_048
        static let bitmapWords = 1_024
    }

    private var blocks: [Int64: Block] = [:]
    private var current = Block.list([])
    private var currentNumber = Int64.min
    private(set) var count = 0
    /// The approximate memory of the set.
    private(set) var byteCount = 0

    var isEmpty: Bool { count == 0 }

    /// The cost of a block in the dictionary.
    private static let blockOverhead = 96

    mutating func contains(_ rowid: Int64) -> Bool {
        if count == 0 { return false }
        select(rowid >> 16, creating: false)
        guard currentNumber == rowid >> 16 else { return false }
        let low = UInt16(truncatingIfNeeded: rowid)
        switch current {
        case .list(let list):
            let position = Self.position(of: low, in: list)
            return position < list.count && list[position] == low
        case .bitmap(let words): return words[Int(low >> 6)] >> UInt64(low & 63) & 1 != 0
        }
    }

    /// False when the rowid was already in the set.
    @discardableResult
    mutating func insert(_ rowid: Int64) -> Bool {
        select(rowid >> 16, creating: true)
        let low = UInt16(truncatingIfNeeded: rowid)
        let isNew: Bool
        switch current {
        case .list(var list):
            current = .list([])
            isNew = Self.insert(low, into: &list)
            if isNew { byteCount += 2 }
            current = list.count > Block.listLimit ? .bitmap(Self.bitmap(of: list)) : .list(list)
            if list.count > Block.listLimit { byteCount += Block.bitmapWords * 8 - list.count * 2 }
        case .bitmap(var words):
            current = .list([])
            let bit = UInt64(1) << UInt64(low & 63)
            isNew = words[Int(low >> 6)] & bit == 0
            words[Int(low >> 6)] |= bit
            current = .bitmap(words)
        }
        if isNew { count += 1 }
        return isNew
    }

    /// False when the rowid was not in the set.
    @discardableResult
    mutating func remove(_ rowid: Int64) -> Bool {
        guard contains(rowid) else { return false }
        let low = UInt16(truncatingIfNeeded: rowid)
        switch current {
        case .list(var list):
            current = .list([])
            list.remove(at: Self.position(of: low, in: list))
            current = .list(list)
            byteCount -= 2
        case .bitmap(var words):
            current = .list([])
            words[Int(low >> 6)] &= ~(UInt64(1) << UInt64(low & 63))
            current = .bitmap(words)
        }
        count -= 1
        return true
    }

    /// Makes the block of that number the current one, which is kept outside the dictionary: neighbouring rowids arrive
    /// together.
    private mutating func select(_ number: Int64, creating: Bool) {
        if number == currentNumber, count > 0 || creating, hasCurrent { return }
        guard creating || blocks[number] != nil else { return }
        if hasCurrent { blocks[currentNumber] = current }
        if let found = blocks.removeValue(forKey: number) {
            current = found
        } else {
            current = .list([])
            byteCount += Self.blockOverhead
        }
        currentNumber = number
        hasCurrent = true
    }
    private var hasCurrent = false

    private static func position(of low: UInt16, in list: [UInt16]) -> Int {
        var start = 0
        var end = list.count
        if let last = list.last, last < low { return end }
        while start < end {
            let middle = (start + end) / 2
            if list[middle] < low { start = middle + 1 } else { end = middle }
        }
        return start
    }

    private static func insert(_ low: UInt16, into list: inout [UInt16]) -> Bool {
        let position = position(of: low, in: list)
        if position < list.count, list[position] == low { return false }
        list.insert(low, at: position)
        return true
    }

    private static func bitmap(of list: [UInt16]) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: Block.bitmapWords)
        for low in list { words[Int(low >> 6)] |= 1 << UInt64(low & 63) }
        return words
    }
}

/// The statements of a transaction, by ordinal, whose changes may have been undone.
struct OrdinalRanges {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    /// When there are more ranges than these, they are merged: reading a row unnecessarily is only slow.
    private static let maxRanges = 64

    var isEmpty: Bool { ranges.isEmpty }

    /// Adds the ordinals up to the newest one.
    mutating func insert(_ range: ClosedRange<UInt32>) {
        var merged = range
        while let last = ranges.last, last.upperBound + 1 >= merged.lowerBound || ranges.count >= Self.maxRanges {
            merged = min(last.lowerBound, merged.lowerBound)...merged.upperBound
            ranges.removeLast()
        }
        ranges.append(merged)
    }

    @inline(__always)
    func contains(_ ordinal: UInt32) -> Bool {
        if ranges.isEmpty { return false }
        return ranges.contains { $0.contains(ordinal) }
    }
}
