import ChangeCapture
import Testing

@Suite struct WALFrameReaderTests {
    @Test(arguments: ["three-commits.db-wal", "big-endian.db-wal"])
    func `a log gives the frames of its commits and stops at those of the generation before`(_ name: String) throws {
        let log = Fixture.bytes(name)
        try log.withUnsafeBytes { log in
            var reader = try WALFrameReader(log)
            #expect(reader.header.pageSize == 512)
            #expect(reader.header.byteOrder == (name.hasPrefix("big") ? .bigEndian : .littleEndian))
            var frames: [WALFrameReader.Frame] = []
            while let frame = reader.next() { frames.append(frame) }
            #expect(frames.map(\.number) == (1...6).map { UInt32($0) })
            #expect(frames.map(\.header.pageNumber) == [2, 1, 2, 3, 2, 3])
            #expect(frames.map(\.header.pageCountAfterCommit) == [2, 0, 0, 3, 0, 3])
            // A complete leftover frame follows them.
            #expect(log.count > reader.header.offset(ofFrame: 8))
        }
    }

    @Test func `a frame whose page was changed ends the log before it`() throws {
        var log = Fixture.bytes("three-commits.db-wal")
        log[32 + 4 * 536 + 100] ^= 1
        let count = try log.withUnsafeBytes { log in
            var reader = try WALFrameReader(log)
            var count = 0
            while reader.next() != nil { count += 1 }
            return count
        }
        #expect(count == 4)
    }

    @Test func `a log that ends within a frame gives the frames before it`() throws {
        let log = Fixture.bytes("three-commits.db-wal").prefix(32 + 2 * 536 + 500)
        let count = try Array(log).withUnsafeBytes { log in
            var reader = try WALFrameReader(log)
            var count = 0
            while reader.next() != nil { count += 1 }
            return count
        }
        #expect(count == 2)
    }
}
