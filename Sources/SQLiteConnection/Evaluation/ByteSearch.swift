import CSQLite

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Finds the places of some bytes in others, in time linear in both, and asks on the way whether to go on.
struct ByteSearch {
    /// Thrown when it was told not to go on.
    struct Interrupted: Error {}

    /// Bytes looked through between two questions: about a millisecond.
    static let bytesPerLook = 1 << 20
    /// Up to this length comparing at every place is the fastest way, and linear.
    private static let shortNeedle = 32

    let needle: UnsafeRawBufferPointer
    private let shouldStop: () -> Bool
    private var bytesUntilLook = ByteSearch.bytesPerLook

    /// - Parameter needle: at least one byte.
    init(for needle: UnsafeRawBufferPointer, shouldStop: @escaping () -> Bool) {
        self.needle = needle
        self.shouldStop = shouldStop
    }

    /// The first place at `start` or behind it; nil when there is none.
    mutating func first(in haystack: UnsafeRawBufferPointer, from start: Int) throws(Interrupted) -> Int? {
        guard let hay = haystack.baseAddress, let needleBase = needle.baseAddress else { return nil }
        let last = haystack.count - needle.count
        return needle.count <= Self.shortNeedle
            ? try firstOfShort(needleBase, in: hay, from: start, through: last)
            : try firstOfLong(needleBase, in: hay, from: start, through: last)
    }

    private mutating func firstOfShort(
        _ needleBase: UnsafeRawPointer,
        in hay: UnsafeRawPointer,
        from start: Int,
        through last: Int
    ) throws(Interrupted) -> Int? {
        let head = needle[0]
        var place = start
        while place <= last {
            let end = min(last, place + bytesUntilLook - 1)
            let begin = place
            while place <= end {
                if hay.load(fromByteOffset: place, as: UInt8.self) == head,
                    memcmp(hay + place, needleBase, needle.count) == 0
                {
                    try work(place - begin + 1)
                    return place
                }
                place += 1
            }
            try work(place - begin)
        }
        return nil
    }

    /// By windows, each at least as long as what is looked for, so that the overlap costs a constant factor.
    private mutating func firstOfLong(
        _ needleBase: UnsafeRawPointer,
        in hay: UnsafeRawPointer,
        from start: Int,
        through last: Int
    ) throws(Interrupted) -> Int? {
        var place = start
        while place <= last {
            let end = min(last, place + max(Self.bytesPerLook, needle.count))
            let count = end - place + needle.count
            if let found = csqlite_find_bytes(hay + place, count, needleBase, needle.count) {
                let offset = found - hay
                try work(offset - place + needle.count)
                return offset
            }
            try work(count)
            place = end + 1
        }
        return nil
    }

    private mutating func work(_ bytes: Int) throws(Interrupted) {
        bytesUntilLook -= bytes
        guard bytesUntilLook <= 0 else { return }
        bytesUntilLook = Self.bytesPerLook
        if shouldStop() { throw Interrupted() }
    }
}
