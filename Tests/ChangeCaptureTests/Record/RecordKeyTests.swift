import ChangeCapture
import Testing

@Suite struct RecordKeyTests {
    private let records: [[UInt8]] = [
        [0x04, 0x01, 0x11, 0x08, 0x05, 0x61, 0x62],  // 5, 'ab', 0
        [0x04, 0x01, 0x11, 0x09, 0x05, 0x61, 0x62],  // 5, 'ab', 1
        [0x04, 0x01, 0x10, 0x08, 0x05, 0x61, 0x62],  // 5, x'6162', 0
        [0x04, 0x01, 0x11, 0x08, 0x06, 0x61, 0x62],  // 6, 'ab', 0
    ]

    @Test func `keys are equal by types and values of their fields alone`() throws {
        for (other, isEqual) in [(1, true), (2, false), (3, false)] {
            try records[0].withUnsafeBytes { first in
                try records[other].withUnsafeBytes { second in
                    let one = try #require(RecordKey(first, fieldCount: 2))
                    let two = try #require(RecordKey(second, fieldCount: 2))
                    #expect(one.isEqual(to: two) == isEqual)
                    var hashers = (Hasher(), Hasher())
                    one.hash(into: &hashers.0)
                    two.hash(into: &hashers.1)
                    #expect((hashers.0.finalize() == hashers.1.finalize()) == isEqual)
                }
            }
        }
    }

    @Test func `the beginning of a record is enough if the key is in it`() {
        records[0].withUnsafeBytes { record in
            let start = UnsafeRawBufferPointer(rebasing: record[..<5])
            #expect(RecordKey(start, fieldCount: 1) != nil)
            #expect(RecordKey(start, fieldCount: 2) == nil)
        }
    }

    @Test func `a record with fewer fields has no key`() {
        #expect(records[0].withUnsafeBytes { RecordKey($0, fieldCount: 4) == nil })
    }
}
