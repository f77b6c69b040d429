extension JSONWriter {
    /// The largest integer that every JSON reader keeps exactly: 2^53 − 1.
    package static let maxExactInteger: Int64 = (1 << 53) - 1

    /// INTEGER of the database: a number within ±(2^53 − 1), else `{"$int64":"…"}`.
    package mutating func integer(_ value: Int64) {
        beginValue()
        if value >= -Self.maxExactInteger, value <= Self.maxExactInteger {
            appendDecimal(value)
        } else {
            append("{\"$int64\":\"")
            appendDecimal(value)
            append("\"}")
        }
    }

    /// REAL of the database: the shortest number that reads back as the same one, else `{"$real":"Infinity"}`.
    ///
    /// Always with a point or an exponent, so that a reader can tell it from an INTEGER.
    package mutating func real(_ value: Double) {
        beginValue()
        guard value.isFinite else {
            // SQLite turns NaN into NULL before anybody sees it: https://sqlite.org/floatingpoint.html
            if value.isNaN { return append("null") }
            return append(value < 0 ? "{\"$real\":\"-Infinity\"}" : "{\"$real\":\"Infinity\"}")
        }
        if appendDecimal(fraction: value) { return }
        var text = value.description
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a number of at most 15 digits, four of them after the point: amounts and measurements mostly are. False,
    /// and nothing is appended, for others.
    ///
    /// No two decimals of 15 digits are the same double, so one that rounds to `value` is its shortest form.
    private mutating func appendDecimal(fraction value: Double) -> Bool {
        let scaled = (value * 10_000).rounded()
        // The sign of -0.0 would be lost.
        guard scaled.magnitude < 1e15, scaled / 10_000 == value, value != 0 || value.sign == .plus else { return false }
        if scaled < 0 { append(UInt8(ascii: "-")) }
        let (whole, fraction) = UInt64(scaled.magnitude).quotientAndRemainder(dividingBy: 10_000)
        appendDecimal(magnitude: whole)
        append(atMost: 5) { room in
            room[0] = UInt8(ascii: ".")
            var rest = fraction
            for index in stride(from: 4, through: 1, by: -1) {
                room[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            var count = 5
            while count > 2, room[count - 1] == UInt8(ascii: "0") { count -= 1 }
            return count
        }
        return true
    }

    mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(magnitude: value.magnitude)
    }

    /// Decimal digits, two at a time.
    mutating func appendDecimal(magnitude: UInt64) {
        if magnitude < 10 { return append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude)) }
        let digitCount = Self.digitCount(magnitude)
        append(atMost: digitCount) { room in
            var rest = magnitude
            var first = digitCount
            while rest >= 10 {
                let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
                rest = quotient
                first -= 2
                room[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: pair / 10)
                room[first + 1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: pair % 10)
            }
            if first > 0 { room[0] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest) }
            return digitCount
        }
    }

    private static func digitCount(_ magnitude: UInt64) -> Int {
        var count = 1
        var bound: UInt64 = 10
        while magnitude >= bound {
            count += 1
            // 10^19 is the last power of ten that fits.
            if count == 20 { break }
            bound &*= 10
        }
        return count
    }
}
