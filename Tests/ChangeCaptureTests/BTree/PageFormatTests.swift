import ChangeCapture
import OracleSupport
import Testing

@Suite struct PageFormatTests {
    @Test(arguments: [(512, 477, 102, 39), (4096, 4061, 1002, 489), (65_536, 65_501, 16_422, 8199), (480, 445, 94, 35)])
    func `the thresholds are those of the file format`(_ usable: Int, _ table: Int, _ index: Int, _ minimum: Int) {
        let format = PageFormat(usableSize: usable)
        #expect(format.maxLocalInTable == table)
        #expect(format.maxLocalInIndex == index)
        #expect(format.minLocal == minimum)
    }

    @Test func `what is kept of a payload never exceeds the threshold, and fills the last overflow page if it can`() {
        for usable in [480, 512, 1000, 1024, 4096, 65_281, 65_536] {
            let format = PageFormat(usableSize: usable)
            for isTable in [true, false] {
                let limit = isTable ? format.maxLocalInTable : format.maxLocalInIndex
                for length in stride(from: 0, to: 4 * usable, by: 7) {
                    let local = format.localLength(of: length, isTable: isTable)
                    if length <= limit {
                        #expect(local == length)
                    } else {
                        #expect(local >= format.minLocal && local <= limit)
                        #expect(local == format.minLocal || (length - local) % format.overflowCapacity == 0)
                    }
                }
            }
        }
    }
}
