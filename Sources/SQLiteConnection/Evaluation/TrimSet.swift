/// The characters that `trim(X, Y)` removes, as SQLite divides Y: a byte from 0xC0 on takes every continuation byte behind it,
/// every other byte stands by itself, and the first zero byte ends the set.
///
/// Where the text is removed one byte sequence at a time, the one that comes first in Y counts, as in SQLite.
struct TrimSet {
    private struct Group {
        let byteCount: Int
        /// The place in Y of each sequence of so many bytes.
        var places: [[UInt8]: Int]
    }

    /// For each byte the place in Y where it stands by itself, or `absent`.
    private var single = [Int](repeating: TrimSet.absent, count: 256)
    private var groups: [Group] = []
    private static let absent = Int.max

    private(set) var isEmpty = true

    /// What `trim(X)` removes.
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

    /// How many bytes go at the beginning or at the end of what is left; 0 when nothing of the set is there.
    ///
    /// - Parameter work: raised by the number of bytes looked at.
    func matchLength(in text: UnsafeRawBufferPointer, atEnd: Bool, work: inout Int) -> Int {
        guard let edge = atEnd ? text.last : text.first else { return 0 }
        var best = single[Int(edge)]
        var length = best == Self.absent ? 0 : 1
        work += 1
        // A longer sequence begins with such a byte and has only continuation bytes behind it.
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
