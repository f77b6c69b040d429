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

    /// False when the fingerprint was there already.
    @discardableResult
    mutating func insert(_ fingerprint: UInt64) -> Bool {
        let value = Self.normal(fingerprint)
        if slot(of: value) != nil { return false }
        if (used + 1) * 3 > slots.count * 2 { rehash() }
        place(value)
        count += 1
        return true
    }

    /// False when the fingerprint was not there.
    @discardableResult
    mutating func remove(_ fingerprint: UInt64) -> Bool {
        guard let slot = slot(of: Self.normal(fingerprint)) else { return false }
        slots[slot] = Self.removed
        count -= 1
        return true
    }

    /// Two values mark slots.
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
