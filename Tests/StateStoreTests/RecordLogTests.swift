import Foundation
import RandomSupport
import StateStore
import Testing

@Suite struct RecordLogTests {
    @Test func `what was appended is read again`() throws {
        let scratch = try ScratchDirectory()
        do {
            let (log, recovered) = try RecordLog.open(scratch)
            #expect(recovered.records.isEmpty)
            try log.restart(prologue: record(.epoch, 7, [1, 2, 3]))
            try log.append(record(.transaction, 8, [4])) { record(.epoch, 7) }
            try log.append(record(.mark, 8, [])) { record(.epoch, 8) }
        }
        let (_, recovered) = try RecordLog.open(scratch)
        #expect(recovered.problems == [])
        #expect(recovered.base == 7)
        #expect(
            recovered.records == [record(.epoch, 7, [1, 2, 3]), record(.transaction, 8, [4]), record(.mark, 8, [])]
        )
    }

    @Test func `a record that is followed is written with the next one, or by a flush`() throws {
        let scratch = try ScratchDirectory()
        let (log, _) = try RecordLog.open(scratch)
        func sequences() -> [UInt64]? { log.transactions(after: 0, maxBytes: 1_000)?.map(\.sequence) }
        try log.restart(prologue: record(.epoch, 0))
        try log.append(record(.transaction, 1), isFollowed: true) { record(.epoch, 0) }
        #expect(sequences() == nil)
        try log.append(record(.transaction, 2)) { record(.epoch, 1) }
        #expect(sequences() == [1, 2])
        try log.append(record(.transaction, 3), isFollowed: true) { record(.epoch, 2) }
        #expect(sequences() == [1, 2])
        try log.flush()
        #expect(sequences() == [1, 2, 3])
    }

    @Test func `a record that is too large to wait is written after those that wait`() throws {
        let scratch = try ScratchDirectory()
        let large = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 >> 3) }
        var appended = [record(.epoch, 0)]
        do {
            let (log, _) = try RecordLog.open(scratch)
            try log.restart(prologue: appended[0])
            for sequence in UInt64(1)...4 {
                appended.append(record(.transaction, sequence, sequence % 2 == 0 ? large : [1]))
                try log.append(appended[Int(sequence)], isFollowed: true) { record(.epoch, 0) }
            }
            #expect(log.transactions(after: 3, maxBytes: 1)?.map(\.sequence) == [4])
        }
        let (_, recovered) = try RecordLog.open(scratch)
        #expect(recovered.problems == [])
        #expect(recovered.records == appended)
    }

    @Test func `a restart forgets everything before it`() throws {
        let scratch = try ScratchDirectory()
        do {
            let (log, _) = try RecordLog.open(scratch)
            try log.restart(prologue: record(.epoch, 0))
            try log.append(record(.transaction, 1)) { record(.epoch, 0) }
            try log.restart(prologue: record(.epoch, 0, [9]))
        }
        #expect(try RecordLog.open(scratch).recovered.records == [record(.epoch, 0, [9])])
    }

    /// After any interruption or damage, what is read is what was appended, without a gap; and the log goes on from there.
    @Test(arguments: [UInt64](1...12) + (0..<3).map { _ in UInt64.random(in: 13...1_000_000_000) })
    func `damage anywhere leaves records without a gap`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let scratch = try ScratchDirectory()
        let limits = RecordLogLimits.small(maxBytes: 1 << 20)
        var appended: [StateRecord] = []
        var sequence: UInt64 = 0
        var isFirst = true
        for round in 0..<6 {
            let (log, recovered) = try RecordLog.open(scratch, limits)
            if isFirst || recovered.records.isEmpty {
                #expect(isFirst || !recovered.problems.isEmpty, "seed \(seed), round \(round): a loss was not reported")
                appended = [record(.epoch, sequence)]
                try log.restart(prologue: appended[0])
                isFirst = false
            } else {
                let kept = recovered.records.filter { $0.kind != .epoch }
                let known = appended.filter { $0.kind != .epoch }
                // Old segments can have been removed, and new records lost; nothing in between.
                #expect(isWithin(kept, known), "seed \(seed), round \(round)")
                let last = kept.last ?? recovered.records[0]
                let sequences = kept.filter { $0.kind == .transaction }.map(\.sequence)
                #expect(
                    zip(sequences, sequences.dropFirst()).allSatisfy { $0 + 1 == $1 },
                    "seed \(seed), round \(round): a gap"
                )
                sequence = last.sequence
                appended = recovered.records
            }
            for _ in 0..<random.int(50...400) {
                let kind: StateRecord.Kind = random.chance(80) ? .transaction : .mark
                if kind == .transaction { sequence += 1 }
                let next = record(kind, sequence, random.bytes(random.int(0...1_000)), at: Int64(sequence))
                appended.append(next)
                try log.append(next, isFollowed: random.chance(50)) {
                    record(.epoch, appended[appended.count - 2].sequence)
                }
            }
            try log.flush()
            try damage(scratch, &random)
        }
    }

    private func isWithin(_ part: [StateRecord], _ whole: [StateRecord]) -> Bool {
        guard let first = part.first else { return true }
        return whole.indices.contains { whole[$0] == first && whole[$0...].starts(with: part) }
    }

    private func damage(_ scratch: ScratchDirectory, _ random: inout SeededGenerator) throws {
        let path = random.chance(60) ? try scratch.segments().last : random.pick(try scratch.segments())
        let url = URL(fileURLWithPath: try #require(path))
        var bytes = [UInt8](try Data(contentsOf: url))
        switch random.below(5) {
        case 0: break
        case 1, 2: bytes.removeLast(random.int(1...bytes.count))
        case 3: bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        default: bytes += random.bytes(random.int(1...100))
        }
        try Data(bytes).write(to: url)
    }

    @Test func `a file of zeros at the end is cut off`() throws {
        let scratch = try ScratchDirectory()
        do {
            let (log, _) = try RecordLog.open(scratch)
            try log.restart(prologue: record(.epoch, 0))
            try log.append(record(.transaction, 1)) { record(.epoch, 0) }
        }
        let url = URL(fileURLWithPath: try #require(try scratch.segments().last))
        try (Data(contentsOf: url) + Data(count: 4096)).write(to: url)
        do {
            let (log, recovered) = try RecordLog.open(scratch)
            #expect(recovered.records.map(\.sequence) == [0, 1])
            #expect(recovered.problems.count == 1)
            try log.append(record(.transaction, 2)) { record(.epoch, 1) }
        }
        #expect(try RecordLog.open(scratch).recovered.records.map(\.sequence) == [0, 1, 2])
    }

    @Test func `a newer format is not read`() throws {
        let scratch = try ScratchDirectory()
        do {
            let (log, _) = try RecordLog.open(scratch)
            try log.restart(prologue: record(.epoch, 0))
        }
        // Version 2, with the checksum that zlib gives for it.
        let url = URL(fileURLWithPath: try #require(try scratch.segments().last))
        var bytes = [UInt8](try Data(contentsOf: url))
        bytes[8] = 2
        let sum = crc32(Array(bytes[0..<12] + bytes[16..<32]))
        for index in 0..<4 { bytes[12 + index] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * index)) }
        try Data(bytes).write(to: url)
        let recovered = try RecordLog.open(scratch).recovered
        #expect(recovered.records.isEmpty)
        #expect(recovered.problems.first?.contains("newer version: format 2") == true)
    }

    @Test func `the oldest segments are removed beyond the limit, and the rest is read`() throws {
        let scratch = try ScratchDirectory()
        let limits = RecordLogLimits.small(maxBytes: 1 << 20)
        let (log, _) = try RecordLog.open(scratch, limits)
        try log.restart(prologue: record(.epoch, 0))
        let payload = [UInt8](repeating: 7, count: 4_000)
        for sequence in 1...1_000 {
            try log.append(record(.transaction, UInt64(sequence), payload)) { record(.epoch, UInt64(sequence - 1)) }
        }
        #expect(log.byteCount < 1 << 20 + 1 << 17)
        let base = try #require(log.base)
        #expect(base > 700)
        #expect(log.transactions(after: base - 1, maxBytes: 1) == nil)
        #expect(log.transactions(after: base, maxBytes: 1)?.map(\.sequence) == [base + 1])
    }

    @Test func `what is too old is removed, also when little is written`() throws {
        let scratch = try ScratchDirectory()
        var limits = RecordLogLimits.small(maxBytes: 1 << 20)
        limits.maxAge = .seconds(80)
        let (log, _) = try RecordLog.open(scratch, limits)
        try log.restart(prologue: record(.epoch, 0))
        for sequence in 1...10 {
            try log.append(record(.transaction, UInt64(sequence), [1], at: Int64(sequence) * 10_001)) {
                record(.epoch, UInt64(sequence - 1), at: Int64(sequence) * 10_001)
            }
        }
        #expect(!log.isOutdated(at: 150_000))
        try log.removeOldest(now: 150_000)
        // The transactions of the last 80 seconds are left.
        #expect(log.base == 6)
        #expect(log.transactions(after: 6, maxBytes: 1 << 20)?.map(\.sequence) == [7])

        // Without a transaction since, a record of the state makes room.
        #expect(log.isOutdated(at: 190_000))
        try log.append(record(.epoch, 10, at: 190_000)) { record(.epoch, 10, at: 190_000) }
        #expect(log.base == 10)
        #expect(!log.isOutdated(at: 190_000))
    }

    @Test func `segments are read at the start until there are enough transactions`() throws {
        let scratch = try ScratchDirectory()
        var limits = RecordLogLimits.small(maxBytes: 4 << 20)
        do {
            let (log, _) = try RecordLog.open(scratch, limits)
            try log.restart(prologue: record(.epoch, 0))
            for sequence in UInt64(1)...600 {
                try log.append(record(.transaction, sequence, Array(repeating: 1, count: 4_000))) {
                    record(.epoch, sequence - 1)
                }
            }
        }
        for count in [1, 100, 300] {
            limits.maxRestoredTransactions = count
            let (log, recovered) = try RecordLog.open(scratch, limits)
            let sequences = recovered.records.filter { $0.kind == .transaction }.map(\.sequence)
            #expect(sequences.count >= count)
            // At most one segment more.
            #expect(sequences.count < count + (4 << 20) / 16 / 4_000 + 2)
            #expect(sequences.last == 600)
            #expect(recovered.base == 0)
            #expect(log.transactions(after: 0, maxBytes: 1)?.map(\.sequence) == [1])
        }
    }

    /// Reads from every position, in parts, and through all segments.
    @Test func `transactions are read from any position`() throws {
        var random = SeededGenerator(seed: 4)
        let scratch = try ScratchDirectory()
        var limits = RecordLogLimits.small(maxBytes: 4 << 20)
        limits.maxRestoredBytes = 300_000
        do {
            let (log, _) = try RecordLog.open(scratch, limits)
            try log.restart(prologue: record(.epoch, 100))
            for sequence in UInt64(101)...600 {
                try log.append(record(.transaction, sequence, random.bytes(random.int(0...5_000)))) {
                    record(.epoch, sequence - 1)
                }
                if random.chance(20) { try log.append(record(.mark, sequence)) { record(.epoch, sequence) } }
            }
        }
        let (log, recovered) = try RecordLog.open(scratch, limits)
        #expect(recovered.base == 100)
        // Only the newest segments are read at the start.
        #expect(try #require(recovered.records.first).sequence > 300)
        for start in stride(from: UInt64(100), to: 600, by: 7) {
            var reached = start
            while reached < 600 {
                let part = try #require(log.transactions(after: reached, maxBytes: 20_000))
                #expect(part.first?.sequence == reached + 1)
                reached = try #require(part.last).sequence
            }
            #expect(reached == 600)
        }
        #expect(log.transactions(after: 600, maxBytes: 1) == nil)
    }
}

/// CRC-32, from its definition.
private func crc32(_ bytes: [UInt8]) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes {
        sum ^= UInt32(byte)
        for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xedb8_8320 : sum >> 1 }
    }
    return ~sum
}
