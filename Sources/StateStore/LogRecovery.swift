extension RecordLog {
    /// What is left from an earlier process.
    package struct Recovered: Sendable {
        /// The newest records without a gap, the oldest first; the first is of kind `epoch`. Empty when there are none.
        package var records: [StateRecord] = []
        /// The last transaction before the oldest record in the directory.
        package var base: UInt64 = 0
        /// What was invalid, for the operator.
        package var problems: [String] = []
    }
}

/// Reads what is in a directory, the newest segment first.
struct LogRecovery {
    let directory: StateDirectory
    let limits: RecordLogLimits
    private(set) var segments: [RecordLog.Segment] = []
    private(set) var recovered = RecordLog.Recovered()

    init(directory: StateDirectory, limits: RecordLogLimits) {
        self.directory = directory
        self.limits = limits
    }

    mutating func read() throws(StateError) {
        var parts: [[StateRecord]] = []
        var restoredBytes = 0
        var restoredTransactions: UInt64 = 0
        var isBroken = false
        for number in try directory.segmentNumbers().reversed() {
            guard !isBroken else {
                try directory.removeSegment(number)
                continue
            }
            let isWanted =
                restoredBytes < limits.maxRestoredBytes && restoredTransactions < limits.maxRestoredTransactions
            if segments.isEmpty || isWanted {
                let contents = try contents(of: number)
                // Reading stops at the first gap; only the newest segment may end with a write that was cut off.
                guard let contents, let first = contents.records.first, let last = contents.records.last,
                    parts.isEmpty || contents.invalidByteCount == 0 && last.sequence == segments.first?.base
                else {
                    if contents?.header.version ?? 1 > SegmentFormat.version { return }
                    if parts.isEmpty { try discard(number) } else { isBroken = try skip(number) }
                    continue
                }
                if contents.invalidByteCount > 0 {
                    recovered.problems.append(
                        """
                        segment \(number) of \(directory.path) ends with \(contents.invalidByteCount) bytes that are not a valid \
                        record: a write was cut off, or the file is damaged
                        """
                    )
                }
                parts.append(contents.records)
                restoredBytes += contents.validByteCount
                // Sequences have no gaps, and never decrease.
                restoredTransactions += last.sequence - first.sequence
                segments.insert(
                    RecordLog.Segment(
                        number: number,
                        byteCount: contents.validByteCount,
                        base: first.sequence,
                        created: contents.header.created,
                        timestamp: last.timestamp
                    ),
                    at: 0
                )
            } else if let segment = try prologue(of: number) {
                segments.insert(segment, at: 0)
            } else {
                isBroken = try skip(number)
            }
        }
        recovered.records = parts.reversed().flatMap { $0 }
        recovered.base = segments.first?.base ?? 0
    }

    private mutating func contents(of number: UInt64) throws(StateError) -> SegmentContents? {
        let file = try directory.openSegment(number, creating: false)
        let contents = SegmentContents(try file.read(at: 0, maxBytes: try file.byteCount()))
        guard let contents, contents.header.version > SegmentFormat.version else {
            return contents?.header.number == number ? contents : nil
        }
        recovered.problems.append(
            """
            \(directory.path) was written by a newer version: format \(contents.header.version), this version reads \
            \(SegmentFormat.version)
            """
        )
        return contents
    }

    /// The newest segment has no valid record: an older one is the basis.
    private mutating func discard(_ number: UInt64) throws(StateError) {
        recovered.problems.append("segment \(number) of \(directory.path) is damaged and was removed")
        try directory.removeSegment(number)
    }

    /// An older segment does not join the newer ones: it and everything before it is removed.
    private mutating func skip(_ number: UInt64) throws(StateError) -> Bool {
        recovered.problems.append(
            "segment \(number) of \(directory.path) is damaged: it and older ones were removed, and positions in them are unknown"
        )
        try directory.removeSegment(number)
        return true
    }

    /// An older segment, of which only the beginning is read.
    private func prologue(of number: UInt64) throws(StateError) -> RecordLog.Segment? {
        let file = try directory.openSegment(number, creating: false)
        let byteCount = try file.byteCount()
        guard let header = SegmentFormat.header(try file.read(at: 0, maxBytes: SegmentFormat.headerByteCount)),
            header.version == SegmentFormat.version, header.number == number
        else { return nil }
        var reading = SegmentReading(
            file: file,
            number: number,
            offset: SegmentFormat.headerByteCount,
            end: byteCount
        )
        guard let (record, _) = reading.next(), record.kind == .epoch else { return nil }
        // Its newest record is not older than the next segment, which is not read again.
        return RecordLog.Segment(
            number: number,
            byteCount: byteCount,
            base: record.sequence,
            created: header.created,
            timestamp: segments.first?.timestamp ?? record.timestamp
        )
    }
}
