/// The pages that a database does not use.
///
/// Source: [The Freelist](https://sqlite.org/fileformat2.html#the_freelist).
package enum Freelist {
    /// Calls `body` with every trunk page and every leaf that it lists, until it returns false.
    package static func forEachPage(
        in reader: some PageReader,
        _ body: (UInt32) throws(WALDecodeError) -> Bool
    ) throws(WALDecodeError) {
        guard reader.pageCount > 0 else { return }
        var trunk = try reader.withPage(1) { (bytes) throws(WALDecodeError) in
            try DatabaseHeader(bytes).firstFreelistTrunk
        }
        let maxLeaves = reader.usableSize / 4 - 2
        var cycle = CycleGuard(from: trunk)
        while trunk != 0 {
            guard trunk <= reader.pageCount else { throw WALDecodeError(page: trunk, .badFreelist) }
            guard try body(trunk) else { return }
            let next = try reader.withPage(trunk) { (bytes) throws(WALDecodeError) -> UInt32? in
                let count = Int(bytes.bigEndian32(at: 4))
                guard count <= maxLeaves else { throw WALDecodeError(page: trunk, .badFreelist) }
                for index in 0..<count {
                    guard try body(bytes.bigEndian32(at: 8 + 4 * index)) else { return nil }
                }
                return bytes.bigEndian32(at: 0)
            }
            guard let next else { return }
            guard !cycle.isRepeated(next) else { throw WALDecodeError(page: next, .badFreelist) }
            trunk = next
        }
    }
}
