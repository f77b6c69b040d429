import CSQLite

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Finds a byte sequence in another one in linear time, and polls `shouldStop` on the way.
struct ByteSearch {
    /// Thrown when `shouldStop` returned true.
    struct Interrupted: Error {}

    /// Bytes examined between two polls: about a millisecond.
    static let bytesPerLook = 1 << 20
    /// Up to this length, comparing at every position is the fastest method, and linear.
    private static let shortNeedle = 32

    let needle: UnsafeRawBufferPointer
    private let shouldStop: () -> Bool
    private var bytesUntilLook = ByteSearch.bytesPerLook

    /// - Parameter needle: at least one byte.
    init(for needle: UnsafeRawBufferPointer, shouldStop: @escaping () -> Bool) {
        self.needle = needle
        self.shouldStop = shouldStop
    }

    /// The first occurrence at `start` or after it; nil when there is none.
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

    /// Searches in windows, each at least as long as the needle, so that the overlap costs a constant factor.
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

/// The characters that `trim(X, Y)` removes, split as SQLite splits Y: a byte of 0xC0 or above takes every continuation
/// byte after it, every other byte stands by itself, and the first zero byte ends the set.
///
/// Where several sequences match, the one that comes first in Y is removed, as in SQLite.
struct TrimSet {
    private struct Group {
        let byteCount: Int
        /// The position in Y of each sequence of ``byteCount`` bytes.
        var places: [[UInt8]: Int]
    }

    /// For each byte its position in Y as a sequence of one byte, or `absent`.
    private var single = [Int](repeating: TrimSet.absent, count: 256)
    private var groups: [Group] = []
    private static let absent = Int.max

    private(set) var isEmpty = true

    /// The set of `trim(X)`.
    static let space = withUnsafeBytes(of: UInt8(ascii: " ")) { TrimSet($0) }

    init(_ bytes: UnsafeRawBufferPointer) {
        var byLength: [Int: [[UInt8]: Int]] = [:]
        var place = 0
        var start = 0
        while start < bytes.count, bytes[start] != 0 {
            var end = start + 1
            if bytes[start] >= 0xC0 {
                while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            }
            if end - start == 1 {
                single[Int(bytes[start])] = min(single[Int(bytes[start])], place)
            } else {
                let sequence = [UInt8](bytes[start..<end])
                if byLength[end - start]?[sequence] == nil { byLength[end - start, default: [:]][sequence] = place }
            }
            place += 1
            start = end
        }
        isEmpty = place == 0
        groups = byLength.map { Group(byteCount: $0.key, places: $0.value) }.sorted { $0.byteCount < $1.byteCount }
    }

    /// The number of bytes to remove at the beginning or at the end of the rest; 0 when no sequence of the set is
    /// there.
    ///
    /// - Parameter work: raised by the number of bytes examined.
    func matchLength(in text: UnsafeRawBufferPointer, atEnd: Bool, work: inout Int) -> Int {
        guard let edge = atEnd ? text.last : text.first else { return 0 }
        var best = single[Int(edge)]
        var length = best == Self.absent ? 0 : 1
        work += 1
        // A longer sequence begins with such a byte and otherwise has only continuation bytes.
        guard !groups.isEmpty, atEnd ? edge & 0xC0 == 0x80 : edge >= 0xC0 else { return length }
        for group in groups {
            guard group.byteCount <= text.count else { break }
            let slice = atEnd ? text.suffix(group.byteCount) : text.prefix(group.byteCount)
            guard slice[slice.startIndex] >= 0xC0 else {
                work += 1
                continue
            }
            work += group.byteCount
            guard let place = group.places[[UInt8](slice)], place < best else { continue }
            best = place
            length = group.byteCount
        }
        return length
    }
}
