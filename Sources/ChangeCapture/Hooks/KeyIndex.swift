/// Finds the entry of a key: open addressing over entry numbers, eight bytes a slot.
///
/// Knows hashes only; whether an entry really has the key is for the caller to say, through `matches`.
struct KeyIndex {
    /// The upper half holds the upper half of the hash, the lower one the entry's number plus one; 0 is free.
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

    /// Adds an entry that is not there yet. `hashOf` gives the hash of an earlier entry, for growing.
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
