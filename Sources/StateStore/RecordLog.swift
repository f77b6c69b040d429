import Synchronization

/// The limits of a ``RecordLog``.
package struct RecordLogLimits: Sendable, Hashable {
    /// Bytes of all segments together; the oldest are removed. 256 MiB.
    package var maxBytes = 256 << 20
    /// A segment is removed when its newest record is older. A day.
    package var maxAge: Duration = .seconds(86_400)
    /// The number of segments; a restart does not begin a new one.
    package var maxSegments = 64
    /// Bytes of the newest records that are read at the start; a segment is read as a whole, or only its beginning. 64 MiB.
    package var maxRestoredBytes = 64 << 20
    /// The number of the newest transactions that are read at the start, like ``maxRestoredBytes``. 100,000.
    package var maxRestoredTransactions = 100_000

    package init() {}

    /// Bytes after which a new segment begins.
    var segmentBytes: Int { min(max(maxBytes / 16, 64 << 10), 16 << 20) }
    /// Milliseconds after which a new segment begins, so that the old one can be removed in time.
    var segmentAge: Int64 { maxAge.components.seconds * 1_000 / 8 }
}

/// An append-only log of checksummed records in the segments of a directory.
///
/// A record is in the system's hands when ``append(_:isFollowed:prologue:)`` returns, or one that is followed when
/// ``flush()`` does: it survives the end of the process, and a loss of power once ``sync()`` has returned. After any
/// interruption the log is a prefix of what was appended: reading ends at the first invalid byte. Each segment begins with
/// a record of kind `epoch`, so that older segments can be removed.
///
/// Thread-safe; appends come from one thread at a time, in the order of their sequences.
package final class RecordLog: Sendable {
    /// A file of the log.
    struct Segment {
        let number: UInt64
        var byteCount: Int
        /// The last transaction before the segment.
        let base: UInt64
        /// When the segment was created, in Unix milliseconds.
        let created: Int64
        /// When the last record was written.
        var timestamp: Int64
        /// Offsets of records, each with the last sequence before it.
        var hints: [(after: UInt64, offset: Int)] = []
    }

    private struct State {
        /// The oldest first; records are appended to the last one.
        var segments: [Segment]
        /// The file of the last segment.
        var active: StateFile?
        /// Records that are not written yet.
        var buffer = ByteWriter()
        /// The sequence of the first of them, if that is a transaction.
        var firstBuffered: UInt64?
        /// The time of the last of them.
        var bufferedTimestamp: Int64 = 0
        /// Written since the last sync.
        var isDirty = false
        var removedSegments = 0
        var lastSync = Duration.zero
        /// Nothing is appended after a failure: a hole would be read as continuity.
        var failure: StateError?
    }

    /// The distance of hints in a segment.
    private static let hintBytes = 64 << 10
    /// Records that are followed by others are written when they have more bytes than this.
    private static let maxBufferedBytes = 256 << 10

    package let directory: StateDirectory
    private let limits: RecordLogLimits
    private let state: Mutex<State>

    private init(_ directory: StateDirectory, limits: RecordLogLimits, segments: [Segment], active: StateFile?) {
        self.directory = directory
        self.limits = limits
        state = Mutex(State(segments: segments, active: active))
    }

    /// Opens the log. Call ``restart(prologue:)`` next when nothing was recovered, or when it is not continued.
    package static func open(
        _ directory: StateDirectory,
        limits: RecordLogLimits
    ) throws(StateError) -> (log: RecordLog, recovered: Recovered) {
        var recovery = LogRecovery(directory: directory, limits: limits)
        try recovery.read()
        var active: StateFile?
        if let newest = recovery.segments.last {
            let file = try directory.openSegment(newest.number, creating: false)
            // What follows the last valid record would hide the records that are appended next.
            if try file.byteCount() != newest.byteCount { try file.truncate(to: newest.byteCount) }
            active = file
        }
        let log = RecordLog(directory, limits: limits, segments: recovery.segments, active: active)
        return (log, recovery.recovered)
    }

    /// The last transaction before the oldest record: later ones are in the log. Nil after a failure.
    package var base: UInt64? { state.withLock { $0.failure == nil ? $0.segments.first?.base : nil } }

    package var byteCount: Int { state.withLock { $0.segments.reduce(0) { $0 + $1.byteCount } } }

    /// Figures for the operator.
    package struct Statistics: Sendable {
        package var byteCount: Int
        /// When the oldest segment was created, in Unix milliseconds.
        package var oldest: Int64
        /// Segments that were removed because of a limit.
        package var removedSegments: Int
        /// How long the last sync took.
        package var lastSync: Duration
    }

    package var statistics: Statistics? {
        state.withLock { state in
            guard let first = state.segments.first else { return nil }
            return Statistics(
                byteCount: state.segments.reduce(0) { $0 + $1.byteCount },
                oldest: first.created,
                removedSegments: state.removedSegments,
                lastSync: state.lastSync
            )
        }
    }

    // MARK: Writing

    /// Appends a record. After an error nothing more is appended.
    ///
    /// - Parameters:
    ///   - isFollowed: whether it may wait, to be written together with the next record or by ``flush()``.
    ///   - prologue: creates the first record of a new segment, as of the record before.
    package func append(
        _ record: StateRecord,
        isFollowed: Bool = false,
        prologue: () -> StateRecord
    ) throws(StateError) {
        try write { (state) throws(StateError) in
            try append(record, isFollowed: isFollowed, prologue: prologue, &state)
        }
    }

    /// Writes the records that wait for the next one.
    package func flush() throws(StateError) {
        try write { (state) throws(StateError) in try flush(&state) }
    }

    private func write(_ body: (inout State) throws(StateError) -> Void) throws(StateError) {
        let result = state.withLock { state in
            Result { () throws(StateError) in
                if let failure = state.failure { throw failure }
                do throws(StateError) {
                    try body(&state)
                } catch {
                    state.failure = error
                    throw error
                }
            }
        }
        try result.get()
    }

    private func append(
        _ record: StateRecord,
        isFollowed: Bool,
        prologue: () -> StateRecord,
        _ state: inout State
    ) throws(StateError) {
        guard record.payload.count <= SegmentFormat.maxPayloadBytes else {
            throw .recordTooLarge(byteCount: record.payload.count)
        }
        if isFull(state, at: record.timestamp) {
            try flush(&state)
            try begin(prologue(), &state)
        }
        guard let last = state.segments.last else { return }
        let isLarge = record.payload.count > Self.maxBufferedBytes
        if isLarge { try flush(&state) }
        if state.buffer.bytes.isEmpty { state.firstBuffered = record.kind == .transaction ? record.sequence : nil }
        state.bufferedTimestamp = record.timestamp
        guard !isLarge else {
            // Not copied. A record that is cut off after its header is as invalid as one that is cut off elsewhere.
            SegmentFormat.appendHeader(of: record, of: last.number, to: &state.buffer)
            return try flush(&state, followedBy: record.payload)
        }
        SegmentFormat.append(record, of: last.number, to: &state.buffer)
        if !isFollowed || state.buffer.bytes.count >= Self.maxBufferedBytes { try flush(&state) }
    }

    private func flush(_ state: inout State, followedBy payload: ArraySlice<UInt8> = []) throws(StateError) {
        guard !state.buffer.bytes.isEmpty, let last = state.segments.indices.last, let file = state.active else {
            return
        }
        let offset = state.segments[last].byteCount
        let byteCount = state.buffer.bytes.count
        try file.write(state.buffer.bytes[...], at: offset)
        try file.write(payload, at: offset + byteCount)
        if let first = state.firstBuffered { state.segments[last].note(first, at: offset, every: Self.hintBytes) }
        state.segments[last].byteCount += byteCount + payload.count
        state.segments[last].timestamp = state.bufferedTimestamp
        state.buffer.removeAll()
        state.isDirty = true
    }

    private func isFull(_ state: State, at time: Int64) -> Bool {
        guard state.active != nil, let last = state.segments.last else { return true }
        return last.byteCount >= limits.segmentBytes || time - last.created > limits.segmentAge
    }

    /// Whether everything in the log is too old: the next record begins a segment, and then the others are removed.
    ///
    /// - Parameter now: Unix milliseconds.
    package func isOutdated(at now: Int64) -> Bool {
        state.withLock { state in
            guard state.failure == nil, let last = state.segments.last else { return false }
            return last.timestamp < now - limits.maxAge.components.seconds * 1_000 && isFull(state, at: now)
        }
    }

    /// Removes all segments, and begins with this record.
    package func restart(prologue: StateRecord) throws(StateError) {
        let result = state.withLock { state in
            Result { () throws(StateError) in
                do throws(StateError) {
                    // The newest first: what an interruption leaves is a prefix, as after any other one.
                    state.active = nil
                    state.failure = nil
                    state.buffer.removeAll()
                    for number in try directory.segmentNumbers().reversed() { try directory.removeSegment(number) }
                    state.segments.removeAll()
                    try begin(prologue, &state)
                } catch {
                    state.failure = error
                    throw error
                }
            }
        }
        try result.get()
    }

    /// Begins a segment.
    private func begin(_ prologue: StateRecord, _ state: inout State) throws(StateError) {
        // The segment before is durable before its successor can be.
        if let active = state.active, state.isDirty { try active.sync() }
        let number = (state.segments.last?.number ?? 0) + 1
        let file = try directory.openSegment(number, creating: true)
        var buffer = ByteWriter()
        let header = SegmentFormat.Header(version: SegmentFormat.version, number: number, created: prologue.timestamp)
        buffer.append(encoded: SegmentFormat.encode(header))
        SegmentFormat.append(prologue, of: number, to: &buffer)
        try file.write(buffer.bytes[...], at: 0)
        state.active = file
        state.segments.append(
            Segment(
                number: number,
                byteCount: buffer.bytes.count,
                base: prologue.sequence,
                created: prologue.timestamp,
                timestamp: prologue.timestamp
            )
        )
        state.isDirty = true
        try removeOldest(&state, now: prologue.timestamp)
    }

    private func removeOldest(_ state: inout State, now: Int64) throws(StateError) {
        let oldest = now - limits.maxAge.components.seconds * 1_000
        while state.segments.count > 1, let first = state.segments.first {
            let byteCount = state.segments.reduce(0) { $0 + $1.byteCount }
            guard
                byteCount > limits.maxBytes || state.segments.count > limits.maxSegments || first.timestamp < oldest
            else { return }
            try directory.removeSegment(first.number)
            state.segments.removeFirst()
            state.removedSegments += 1
        }
    }

    /// Removes the segments that are too old.
    ///
    /// - Parameter now: Unix milliseconds.
    package func removeOldest(now: Int64) throws(StateError) {
        let result = state.withLock { state in
            Result { () throws(StateError) in try removeOldest(&state, now: now) }
        }
        try result.get()
    }

    /// Makes everything that was appended durable. Appends do not wait for it.
    package func sync() throws(StateError) {
        let file = state.withLock { state in
            defer { state.isDirty = false }
            return state.isDirty ? state.active : nil
        }
        guard let file else { return }
        let start = ContinuousClock.now
        try file.sync()
        try directory.sync()
        let duration = ContinuousClock.now - start
        state.withLock { $0.lastSync = duration }
    }

    // MARK: Reading

    /// The transactions after `sequence`, in order: at least one, and up to `maxBytes`. Nil when they cannot be read, or are no
    /// longer kept.
    package func transactions(after sequence: UInt64, maxBytes: Int) -> [StateRecord]? {
        let found = state.withLock { state -> (number: UInt64, end: Int, start: Int)? in
            guard state.failure == nil, let segment = state.segments.last(where: { $0.base <= sequence }) else {
                return nil
            }
            let hint = segment.hints.last { $0.after <= sequence }
            return (segment.number, segment.byteCount, hint?.offset ?? SegmentFormat.headerByteCount)
        }
        // The file can have been removed meanwhile: then its transactions are no longer kept.
        guard let found, let file = try? directory.openSegment(found.number, creating: false) else { return nil }
        var reading = SegmentReading(file: file, number: found.number, offset: found.start, end: found.end)
        var records: [StateRecord] = []
        var bytes = 0
        while bytes < maxBytes, let (record, offset) = reading.next() {
            guard record.kind == .transaction else { continue }
            note(record, at: offset, in: found.number)
            guard record.sequence > sequence else { continue }
            guard record.sequence == sequence + 1 + UInt64(records.count) else { return nil }
            records.append(record)
            bytes += record.payload.count
        }
        return records.isEmpty ? nil : records
    }

    private func note(_ record: StateRecord, at offset: Int, in number: UInt64) {
        state.withLock { state in
            guard let index = state.segments.firstIndex(where: { $0.number == number }) else { return }
            state.segments[index].note(record.sequence, at: offset, every: Self.hintBytes)
        }
    }
}

extension RecordLog.Segment {
    /// Remembers where a transaction is, if it is further on than the last one.
    fileprivate mutating func note(_ sequence: UInt64, at offset: Int, every distance: Int) {
        if offset >= (hints.last?.offset ?? 0) + distance { hints.append((sequence - 1, offset)) }
    }
}
