import ChangeCapture
import Testing

@Suite struct RecordKeyTests {
    private let records: [[UInt8]] = [
        [0x04, 0x01, 0x11, 0x08, 0x05, 0x61, 0x62],  // 5, 'ab', 0
        [0x04, 0x01, 0x11, 0x09, 0x05, 0x61, 0x62],  // 5, 'ab', 1
        [0x04, 0x01, 0x10, 0x08, 0x05, 0x61, 0x62],  // 5, x'6162', 0
        [0x04, 0x01, 0x11, 0x08, 0x06, 0x61, 0x62],  // 6, 'ab', 0
    ]

    @Test func `keys are equal when the types and values of their fields are`() throws {
        for (other, isEqual) in [(1, true), (2, false), (3, false)] {
            try records[0].withUnsafeBytes { first in
                try records[other].withUnsafeBytes { second in
                    let one = try #require(RecordKey(first, fieldCount: 2))
                    let two = try #require(RecordKey(second, fieldCount: 2))
                    #expect(one.isEqual(to: two) == isEqual)
                    #expect((hash(one) == hash(two)) == isEqual)
                }
            }
        }
    }

    @Test(
        arguments: [
            ([0x02, 0x08], [0x02, 0x01, 0x00], true), ([0x02, 0x09], [0x02, 0x01, 0x01], true),
            ([0x02, 0x01, 0xff], [0x02, 0x03, 0xff, 0xff, 0xff], true),
            ([0x02, 0x01, 0xff], [0x02, 0x02, 0x00, 0xff], false),
            ([0x02, 0x08], [0x02, 0x07, 0, 0, 0, 0, 0, 0, 0, 0], false), ([0x02, 0x00], [0x02, 0x08], false),
        ] as [([UInt8], [UInt8], Bool)]
    )
    func `an integer is the same in each of its encodings`(one: [UInt8], other: [UInt8], isEqual: Bool) throws {
        try one.withUnsafeBytes { one in
            try other.withUnsafeBytes { other in
                let one = try #require(RecordKey(one, fieldCount: 1))
                let other = try #require(RecordKey(other, fieldCount: 1))
                #expect(one.isEqual(to: other) == isEqual)
                #expect(hash(one) == hash(other) || !isEqual)
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

    private func hash(_ key: RecordKey) -> Int {
        var hasher = Hasher()
        key.hash(into: &hasher)
        return hasher.finalize()
    }
}
