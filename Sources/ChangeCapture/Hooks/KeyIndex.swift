import SQLiteConnection

/// A hash index from keys to entries: open addressing over entry numbers, eight bytes a slot.
///
/// It knows only hashes; the caller decides through `matches` whether an entry really has the key.
struct KeyIndex {
    /// The upper half holds the upper half of the hash, the lower half the entry's number plus one; 0 is free.
    private var slots: [UInt64] = []
    private var mask = 0
    private(set) var count = 0

    static func hash(_ key: Int64) -> UInt64 { ContentHash.mix(0, UInt64(bitPattern: key)) }

    /// The number of the entry with this hash that `matches`.
    @inline(__always)
    func find(_ hash: UInt64, _ matches: (Int) -> Bool) -> Int? {
        guard mask != 0 else { return nil }
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let found = slots[slot]
            if found >> 32 == hash >> 32 {
                let entry = Int(truncatingIfNeeded: found & 0xffff_ffff) - 1
                if matches(entry) { return entry }
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// Adds an entry that is not in the index yet. `hashOf` returns the hash of an earlier entry, for growing.
    @inline(__always)
    mutating func insert(_ entry: Int, hash: UInt64, hashOf: (Int) -> UInt64) {
        if (count + 1) * 3 > slots.count * 2 { grow(hashOf) }
        place(entry, hash)
        count += 1
    }

    private mutating func place(_ entry: Int, _ hash: UInt64) {
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 { slot = (slot + 1) & mask }
        slots[slot] = (hash >> 32) << 32 | UInt64(entry + 1)
    }

    private mutating func grow(_ hashOf: (Int) -> UInt64) {
        let old = slots
        slots = Array(repeating: 0, count: max(64, old.count * 2))
        mask = slots.count - 1
        for found in old where found != 0 {
            let entry = Int(truncatingIfNeeded: found & 0xffff_ffff) - 1
            place(entry, hashOf(entry))
        }
    }
}

/// A set of 64-bit fingerprints of primary keys, by open addressing: eight bytes a slot.
///
/// Two different keys share a fingerprint once in 2⁶⁴; among five million keys the odds of any such pair are one in 1.5
/// million.
struct FingerprintSet {
    private var slots: [UInt64] = []
    private(set) var count = 0
    /// Slots that hold a fingerprint or once held one.
    private var used = 0

    private static let free: UInt64 = 0
    private static let removed: UInt64 = 1

    var isEmpty: Bool { count == 0 }
    var byteCount: Int { slots.count * 8 }

    func contains(_ fingerprint: UInt64) -> Bool { slot(of: Self.normal(fingerprint)) != nil }

    /// False when the fingerprint was already in the set.
    @discardableResult
    mutating func insert(_ fingerprint: UInt64) -> Bool {
        let value = Self.normal(fingerprint)
        if slot(of: value) != nil { return false }
        if (used + 1) * 3 > slots.count * 2 { rehash() }
        place(value)
        count += 1
        return true
    }

    /// False when the fingerprint was not in the set.
    @discardableResult
    mutating func remove(_ fingerprint: UInt64) -> Bool {
        guard let slot = slot(of: Self.normal(fingerprint)) else { return false }
        slots[slot] = Self.removed
        count -= 1
        return true
    }

    /// Two values are reserved as slot marks.
    private static func normal(_ fingerprint: UInt64) -> UInt64 { fingerprint < 2 ? fingerprint + 2 : fingerprint }

    private func slot(of value: UInt64) -> Int? {
        guard !slots.isEmpty else { return nil }
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: value >> 7) & mask
        while slots[slot] != Self.free {
            if slots[slot] == value { return slot }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private mutating func place(_ value: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: value >> 7) & mask
        while slots[slot] != Self.free { slot = (slot + 1) & mask }
        slots[slot] = value
        used += 1
    }

    private mutating func rehash() {
        let old = slots
        slots = Array(repeating: Self.free, count: max(64, count * 3 > old.count ? old.count * 2 : old.count))
        used = 0
        for value in old where value != Self.free && value != Self.removed { place(value) }
    }
}

/// A 64-bit hash of a row's content, for rows whose content itself is not kept.
///
/// The hash of a row is the sum of the hashes of its columns: a change of one column changes it by a difference, and
/// the other columns need not be read. Two different contents of one row have the same hash once in 2⁶⁴; only then
/// would an update be missed. Not seeded: hashes are compared only within one transaction.
enum ContentHash {
    private static let multiplier: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    static func hash(_ value: BorrowedValue, column: Int) -> UInt64 {
        let seed = UInt64(truncatingIfNeeded: column &+ 1) &* multiplier
        return switch value {
        // The types are distinguished by constants that no two small numbers differ by.
        case .null: mix(seed, 0xa076_1d64_78bd_642f)
        case .integer(let value): mix(seed ^ 0xe703_7ed1_a0b4_28db, UInt64(bitPattern: value))
        case .real(let value): mix(seed ^ 0x8ebc_6af0_9c88_c6e3, value.bitPattern)
        case .text(let bytes): hash(bytes, seed: seed ^ 0x5899_65cc_7537_4cc3)
        case .blob(let bytes): hash(bytes, seed: seed ^ 0x1d8e_4e27_c47d_124f)
        }
    }

    static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        var state = mix(seed, UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            state = mix(state, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        return mix(state, rest)
    }

    /// The hash of a whole row that is kept as a record.
    static func hash(record: UnsafeRawBufferPointer) -> UInt64 {
        var sum: UInt64 = 0
        var column = 0
        BorrowedValue.forEach(inRecord: record) { field in
            sum &+= hash(field, column: column)
            column += 1
        }
        return sum
    }

    /// Injective in each argument: two values of at most eight bytes never collide.
    @inline(__always)
    static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        var hash = (state ^ word) &* multiplier
        hash ^= hash >> 32
        hash &*= 0xd6e8_feb8_6659_fd93
        return hash ^ hash >> 29
    }
}

/// Bytes that only grow until all of them are dropped at once: the records of one table in one transaction.
///
/// A block is a length followed by that many bytes, and is identified by its offset. One allocation for all blocks
/// avoids an allocation per captured row.
struct ByteArena {
    private(set) var bytes: [UInt8] = []

    private static let prefixSize = MemoryLayout<UInt32>.size

    var count: Int { bytes.count }

    /// Adds a block of two parts and returns its offset. No row of SQLite is longer than 2 GB.
    mutating func append(_ head: UnsafeRawBufferPointer, _ tail: UnsafeRawBufferPointer) -> Int {
        let offset = bytes.count
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: head.count + tail.count)) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: head)
        bytes.append(contentsOf: tail)
        return offset
    }

    /// Replaces a block by another one where it fits, else adds it: a row that one transaction updates repeatedly
    /// should not fill the arena.
    mutating func replace(_ offset: Int, _ head: UnsafeRawBufferPointer, _ tail: UnsafeRawBufferPointer) -> Int {
        let range = range(at: offset)
        guard head.count + tail.count <= range.count else { return append(head, tail) }
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(
                of: UInt32(truncatingIfNeeded: head.count + tail.count),
                toByteOffset: offset,
                as: UInt32.self
            )
            let block = UnsafeMutableRawBufferPointer(rebasing: bytes[range])
            block.copyMemory(from: head)
            UnsafeMutableRawBufferPointer(rebasing: block[head.count...]).copyMemory(from: tail)
        }
        return offset
    }

    /// Where the block's bytes are.
    func range(at offset: Int) -> Range<Int> {
        let start = offset + Self.prefixSize
        let length = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
        return start..<start + Int(length)
    }

    func withBlock<R>(at offset: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let range = range(at: offset)
        return bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func areEqual(_ left: Int, _ right: Int) -> Bool {
        withBlock(at: left) { left in
            withBlock(at: right) { right in left.count == right.count && left.elementsEqual(right) }
        }
    }
}
