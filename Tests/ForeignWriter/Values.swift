import RandomSupport
import SQLiteConnection

/// Values for every serial type and its limits.
struct Values {
    var random: SeededGenerator
    let pageSize: Int

    private static let integers: [Int64] = [
        0, 1, -1, 127, 128, -128, -129, 32_767, 32_768, 8_388_607, 8_388_608, -8_388_609, 1 << 31 - 1, 1 << 31,
        1 << 47 - 1, 1 << 47, -(1 << 47) - 1, .max, .min,
    ]

    mutating func any() -> SQLiteValue {
        switch random.int(0...99) {
        case 0..<8: .null
        case 8..<20: .integer(random.pick(Self.integers))
        case 20..<35: .integer(Int64(random.int(-1_000_000...1_000_000)))
        case 35..<50:
            .real(random.pick([0, 1, -1.5, 1e300, 9_007_199_254_740_992, 3.25, Double(random.int(-1_000...1_000))]))
        case 50..<60: .text(String(random.int(0...999)))
        case 60..<85: .text(random.text(random.pick([0, 1, 5, 30, random.int(0...300)])))
        default: .blob(random.bytes(random.pick([0, 1, 10, 100, random.int(0...400)])))
        }
    }

    /// Often larger than a page, so that it has overflow pages.
    mutating func blob() -> SQLiteValue {
        let count =
            switch random.int(0...99) {
            case 0..<50: random.int(0...pageSize / 2)
            case 50..<85: random.int(pageSize / 2...pageSize * 4)
            default: random.int(pageSize...min(pageSize * 20, 400_000))
            }
        return .blob(random.bytes(count))
    }

    mutating func rowid() -> SQLiteValue {
        switch random.int(0...9) {
        case 0..<6: .integer(Int64(random.int(1...3_000)))
        case 6..<8: .integer(Int64(random.int(-1_000...1_000_000)))
        case 8: .integer(Int64(bitPattern: random.next()))
        default: .integer(random.pick([0, -1, .max, .min, 1 << 31, 1 << 56]))
        }
    }
}
