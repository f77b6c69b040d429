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
        var text = value.description
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(magnitude: value.magnitude)
    }

    /// Decimal digits, two at a time.
    mutating func appendDecimal(magnitude: UInt64) {
        var rest = magnitude
        if rest < 10 { return append(UInt8(ascii: "0") + UInt8(rest)) }
        // 20 digits hold every UInt64.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = 20
            while rest >= 10 {
                let pair = rest % 100
                rest /= 100
                first -= 2
                digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: pair / 10)
                digits[first + 1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: pair % 10)
            }
            if rest > 0 {
                first -= 1
                digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest)
            }
            append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[first...]))
        }
    }
}
