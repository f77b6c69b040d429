/// The statements of a transaction, by ordinal, whose changes may have been undone.
struct OrdinalRanges {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    /// More ranges than these are merged: reading a row once too often is only slow.
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
