/// Compares the pages of a `WITHOUT ROWID` table on both sides of a commit, and emits the differences.
///
/// Deletions come before updates and insertions: a replica can then insert a row whose key equals a deleted row's key
/// under a collation.
struct KeyedDifference<Before: PageReader, After: PageReader> {
    /// Cells of one side kept at a time: 16 MB. More cells are compared in several passes over the same pages.
    private static var maxEntries: Int { 1 << 20 }
    /// More keys than this with the same hash are no accident.
    private static var maxGroup: Int { 8 }

    let before: Before
    let after: After
    let step: TableStep
    let pages: [KeyedCells.Page]
    private let format: PageFormat
    private let oldKey = PayloadBuffer()
    private let newKey = PayloadBuffer()
    private var old = KeyedCells()
    private var new = KeyedCells()

    init(before: Before, after: After, step: TableStep, pages: [KeyedCells.Page]) {
        self.before = before
        self.after = after
        self.step = step
        self.pages = pages
        format = after.format
    }

    mutating func run(_ emitter: inout RowEmitter, _ sink: inout some RowSink) throws(WALDecodeError) {
        let turns = try turnCount()
        for turn in 0..<turns {
            try collect((turn, turns), &emitter, &sink, notesSuspects: true)
            try emitOneSided(&emitter, &sink, deletions: true)
            // With a single pass the cells are still in memory.
            guard turns == 1 else { continue }
            try emitPairs(&emitter, &sink)
            try emitOneSided(&emitter, &sink, deletions: false)
        }
        guard turns > 1 else { return }
        for turn in 0..<turns {
            try collect((turn, turns), &emitter, &sink, notesSuspects: false)
            try emitPairs(&emitter, &sink)
            try emitOneSided(&emitter, &sink, deletions: false)
        }
    }

    private func turnCount() throws(WALDecodeError) -> UInt64 {
        // A cell takes two bytes of pointer and at least four bytes of content.
        guard pages.count * (format.usableSize / 6) > Self.maxEntries else { return 1 }
        var oldCount = 0
        var newCount = 0
        for page in pages {
            if page.isOld {
                oldCount += try before.withTreePage(page.number, format: format) { (page) throws(WALDecodeError) in
                    page.cellCount
                }
            }
            if page.isNew {
                newCount += try after.withTreePage(page.number, format: format) { (page) throws(WALDecodeError) in
                    page.cellCount
                }
            }
        }
        return UInt64(max(oldCount, newCount) / Self.maxEntries + 1)
    }

    // MARK: Collecting

    private mutating func collect(
        _ partition: (index: UInt64, count: UInt64),
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink,
        notesSuspects: Bool
    ) throws(WALDecodeError) {
        old.removeAll()
        new.removeAll()
        for page in pages {
            if page.isOld, page.isNew {
                try before.withTreePage(page.number, format: format) { (oldPage) throws(WALDecodeError) in
                    try after.withTreePage(page.number, format: format) { (newPage) throws(WALDecodeError) in
                        let same = try sameCells(oldPage, newPage)
                        if notesSuspects, partition.index == 0 {
                            try noteSuspects(same, newPage, &emitter, &sink)
                        }
                        let oldRange = same.leading..<oldPage.cellCount - same.trailing
                        let newRange = same.leading..<newPage.cellCount - same.trailing
                        try addOld(oldRange, of: oldPage, partition)
                        try addNew(newRange, of: newPage, partition)
                    }
                }
            } else if page.isOld {
                try before.withTreePage(page.number, format: format) { (oldPage) throws(WALDecodeError) in
                    try addOld(0..<oldPage.cellCount, of: oldPage, partition)
                }
            } else {
                try after.withTreePage(page.number, format: format) { (newPage) throws(WALDecodeError) in
                    try addNew(0..<newPage.cellCount, of: newPage, partition)
                }
            }
        }
        old.sort()
        new.sort()
    }

    private mutating func addOld(
        _ cells: Range<Int>,
        of page: BTreePage,
        _ partition: (index: UInt64, count: UInt64)
    ) throws(WALDecodeError) {
        try check(page)
        let count = step.before.keyFieldCount
        try old.add(cells, of: page, in: before, keyFieldCount: count, partition: partition, buffer: oldKey)
    }

    private mutating func addNew(
        _ cells: Range<Int>,
        of page: BTreePage,
        _ partition: (index: UInt64, count: UInt64)
    ) throws(WALDecodeError) {
        try check(page)
        let count = step.after.keyFieldCount
        try new.add(cells, of: page, in: after, keyFieldCount: count, partition: partition, buffer: newKey)
    }

    private func check(_ page: BTreePage) throws(WALDecodeError) {
        if page.kind.isTable { throw WALDecodeError(page: page.number, .wrongTreeKind(page.kind.rawValue)) }
    }

    /// How many cells at the beginning and at the end of a page are equal on both sides, byte for byte.
    private func sameCells(
        _ oldPage: BTreePage,
        _ newPage: BTreePage
    ) throws(WALDecodeError) -> (leading: Int, trailing: Int) {
        guard step.mapping == nil, !oldPage.kind.isTable, !newPage.kind.isTable else { return (0, 0) }
        let count = min(oldPage.cellCount, newPage.cellCount)
        var leading = 0
        while leading < count, try areSame(oldPage, leading, newPage, leading) { leading += 1 }
        var trailing = 0
        while trailing < count - leading,
            try areSame(oldPage, oldPage.cellCount - 1 - trailing, newPage, newPage.cellCount - 1 - trailing)
        {
            trailing += 1
        }
        return (leading, trailing)
    }

    private func areSame(
        _ oldPage: BTreePage,
        _ oldIndex: Int,
        _ newPage: BTreePage,
        _ newIndex: Int
    ) throws(WALDecodeError) -> Bool {
        let oldCell = try oldPage.cell(at: oldIndex)
        let newCell = try newPage.cell(at: newIndex)
        return oldCell.payloadLength == newCell.payloadLength && oldCell.overflowPage == newCell.overflowPage
            && bytesAreEqual(
                oldPage.bytes,
                oldCell.payloadOffset,
                newPage.bytes,
                newCell.payloadOffset,
                newCell.localLength
            )
    }

    private func noteSuspects(
        _ same: (leading: Int, trailing: Int),
        _ page: BTreePage,
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        guard emitter.commit.unexplainedCount > 0 else { return }
        for index in 0..<page.cellCount where index < same.leading || index >= page.cellCount - same.trailing {
            let cell = try page.cell(at: index)
            guard cell.overflowPage != 0 else { continue }
            try emitter.suspect(cell, at: index, on: page, before: before, after: after, step, &sink)
        }
    }

    // MARK: Matching

    /// Emits rows whose key's hash is on one side only.
    private func emitOneSided(
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink,
        deletions: Bool
    ) throws(WALDecodeError) {
        var other = 0
        let (entries, others) = deletions ? (old.entries, new.entries) : (new.entries, old.entries)
        for entry in entries {
            while other < others.count, others[other].hash < entry.hash { other += 1 }
            if other < others.count, others[other].hash == entry.hash { continue }
            if deletions {
                try delete(entry, &emitter, &sink)
            } else {
                try insert(entry, &emitter, &sink)
            }
        }
    }

    /// Emits rows whose key's hash is on both sides: the keys are equal, except for rare hash collisions.
    private func emitPairs(_ emitter: inout RowEmitter, _ sink: inout some RowSink) throws(WALDecodeError) {
        var oldIndex = 0
        var newIndex = 0
        while oldIndex < old.entries.count, newIndex < new.entries.count {
            let hash = old.entries[oldIndex].hash
            guard hash == new.entries[newIndex].hash else {
                if hash < new.entries[newIndex].hash { oldIndex += 1 } else { newIndex += 1 }
                continue
            }
            let oldGroup = old.entries[oldIndex...].prefix { $0.hash == hash }
            let newGroup = new.entries[newIndex...].prefix { $0.hash == hash }
            guard oldGroup.count <= Self.maxGroup, newGroup.count <= Self.maxGroup else {
                throw WALDecodeError(page: newGroup[newIndex].page, .duplicateKeys)
            }
            try emitGroup(oldGroup, newGroup, &emitter, &sink)
            oldIndex = oldGroup.endIndex
            newIndex = newGroup.endIndex
        }
    }

    private func emitGroup(
        _ oldGroup: ArraySlice<KeyedCells.Entry>,
        _ newGroup: ArraySlice<KeyedCells.Entry>,
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        var unpaired = Array(newGroup)
        for oldEntry in oldGroup {
            var partner: Int?
            for (index, newEntry) in unpaired.enumerated() {
                if try comparePair(oldEntry, newEntry, &emitter, &sink) {
                    partner = index
                    break
                }
            }
            if let partner {
                unpaired.remove(at: partner)
            } else {
                try delete(oldEntry, &emitter, &sink)
            }
        }
        for entry in unpaired { try insert(entry, &emitter, &sink) }
    }

    /// False when the keys differ after all.
    private func comparePair(
        _ oldEntry: KeyedCells.Entry,
        _ newEntry: KeyedCells.Entry,
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) -> Bool {
        try before.withTreePage(oldEntry.page, format: format) { (oldPage) throws(WALDecodeError) in
            try after.withTreePage(newEntry.page, format: format) { (newPage) throws(WALDecodeError) in
                let oldCell = try oldPage.cell(at: Int(oldEntry.cell))
                let newCell = try newPage.cell(at: Int(newEntry.cell))
                let oldCount = step.before.keyFieldCount
                let newCount = step.after.keyFieldCount
                let old = try KeyedCells.key(
                    of: oldCell,
                    on: oldPage,
                    in: before,
                    fieldCount: oldCount,
                    buffer: oldKey
                )
                let new = try KeyedCells.key(of: newCell, on: newPage, in: after, fieldCount: newCount, buffer: newKey)
                guard old.isEqual(to: new) else { return false }
                try emitter.compare(
                    oldCell,
                    on: oldPage,
                    in: before,
                    newCell,
                    at: Int(newEntry.cell),
                    on: newPage,
                    in: after,
                    step,
                    &sink
                )
                return true
            }
        }
    }

    private func delete(
        _ entry: KeyedCells.Entry,
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        try before.withTreePage(entry.page, format: format) { (page) throws(WALDecodeError) in
            try emitter.delete(try page.cell(at: Int(entry.cell)), on: page, in: before, step, &sink)
        }
    }

    private func insert(
        _ entry: KeyedCells.Entry,
        _ emitter: inout RowEmitter,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        try after.withTreePage(entry.page, format: format) { (page) throws(WALDecodeError) in
            try emitter.insert(try page.cell(at: Int(entry.cell)), on: page, in: after, step, &sink)
        }
    }
}

/// The cells of a `WITHOUT ROWID` table by the hash of their keys, in 16 bytes each.
///
/// Such a table is ordered by its columns' collations, which an application can define: so cells are paired by hash
/// rather than by order. The hash is seeded per process, so that no writer can construct collisions.
struct KeyedCells {
    struct Entry {
        var hash: UInt64
        var page: UInt32
        var cell: Int32
    }

    /// A page to compare, on one side or on both.
    struct Page {
        var number: UInt32
        var isOld: Bool
        var isNew: Bool
    }

    private(set) var entries: [Entry] = []

    mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

    /// Adds the cells of a range whose key's hash belongs to the partition.
    mutating func add(
        _ cells: Range<Int>,
        of page: BTreePage,
        in reader: some PageReader,
        keyFieldCount: Int,
        partition: (index: UInt64, count: UInt64),
        buffer: PayloadBuffer
    ) throws(WALDecodeError) {
        for index in cells {
            let cell = try page.cell(at: index)
            let key = try Self.key(of: cell, on: page, in: reader, fieldCount: keyFieldCount, buffer: buffer)
            var hasher = Hasher()
            key.hash(into: &hasher)
            let hash = UInt64(bitPattern: Int64(hasher.finalize()))
            if partition.count == 1 || hash % partition.count == partition.index {
                entries.append(Entry(hash: hash, page: page.number, cell: Int32(index)))
            }
        }
    }

    mutating func sort() { entries.sort { $0.hash < $1.hash } }

    /// The key's bytes: on the page where they fit, as nearly always, else in the buffer.
    static func key(
        of cell: Cell,
        on page: BTreePage,
        in reader: some PageReader,
        fieldCount: Int,
        buffer: PayloadBuffer
    ) throws(WALDecodeError) -> RecordKey {
        if let key = RecordKey(page.localPayload(of: cell), fieldCount: fieldCount) { return key }
        let payload = try buffer.payload(of: cell, on: page, in: reader) { _ in }
        guard let key = RecordKey(payload, fieldCount: fieldCount) else {
            throw WALDecodeError(page: page.number, .badRecord)
        }
        return key
    }
}
