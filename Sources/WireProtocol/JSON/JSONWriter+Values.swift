extension JSONWriter {
    /// TEXT of the database from borrowed bytes: a string, or `{"$text":"<base64>"}` when it is not UTF-8.
    package mutating func text(_ utf8: UnsafeRawBufferPointer) {
        beginValue()
        let start = count
        if appendQuoted(utf8, isKnownUTF8: false) { return }
        truncate(to: start)
        append("{\"$text\":\"")
        appendBase64(utf8)
        append("\"}")
    }

    /// BLOB of the database from borrowed bytes: `{"$base64":"…"}`.
    package mutating func blob(_ content: UnsafeRawBufferPointer) {
        beginValue()
        append("{\"$base64\":\"")
        appendBase64(content)
        append("\"}")
    }

    /// Appends a quoted string; escapes only what [RFC 8259 section
    /// 7](https://www.rfc-editor.org/rfc/rfc8259#section-7) requires. False when the bytes are not UTF-8; then the
    /// appended bytes are not usable.
    mutating func appendQuoted(_ utf8: UnsafeRawBufferPointer, isKnownUTF8: Bool) -> Bool {
        append(UInt8(ascii: "\""))
        var seen: UInt64 = 0
        var index = 0
        while true {
            // The room is for the rest and the quote: usually everything is written at once.
            append(atMost: utf8.count - index + 1) { room in
                let start = index
                index = Self.copyRun(of: utf8, from: index, to: room, seen: &seen)
                guard index == utf8.count else { return index - start }
                room[index - start] = UInt8(ascii: "\"")
                return index - start + 1
            }
            if index == utf8.count { break }
            appendEscape(of: utf8[index])
            index += 1
        }
        // Only bytes with the high bit set can be invalid.
        return isKnownUTF8 || seen & Self.highBits == 0 || Self.isUTF8(utf8)
    }

    private static let highBits: UInt64 = 0x8080_8080_8080_8080
    private static let lowBits: UInt64 = 0x0101_0101_0101_0101

    /// Copies up to the first quote, backslash or control character, eight bytes at a time, and returns its index. `seen`
    /// collects the bits of all examined bytes.
    private static func copyRun(
        of utf8: UnsafeRawBufferPointer,
        from start: Int,
        to room: UnsafeMutableRawBufferPointer,
        seen: inout UInt64
    ) -> Int {
        var index = start
        while index + 8 <= utf8.count {
            let word = UInt64(littleEndian: utf8.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            seen |= word
            let quote = word ^ (lowBits &* 0x22)
            let backslash = word ^ (lowBits &* 0x5C)
            // A borrow can only mark bytes above a true hit, so the lowest mark is exact.
            let hits =
                ((word &- (lowBits &* 0x20)) & ~word)
                | ((quote &- lowBits) & ~quote)
                | ((backslash &- lowBits) & ~backslash)
            // The next bytes overwrite what was written beyond a hit.
            room.storeBytes(of: word.littleEndian, toByteOffset: index - start, as: UInt64.self)
            let marks = hits & highBits
            if marks != 0 { return index + marks.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < utf8.count {
            let byte = utf8[index]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return index }
            seen |= UInt64(byte)
            room[index - start] = byte
            index += 1
        }
        return index
    }

    private mutating func appendEscape(of byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case UInt8(ascii: "\n"): append("\\n")
        case UInt8(ascii: "\r"): append("\\r")
        case UInt8(ascii: "\t"): append("\\t")
        default:
            append("\\u00")
            append(Self.hexDigit(byte >> 4))
            append(Self.hexDigit(byte & 15))
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func isUTF8(_ utf8: UnsafeRawBufferPointer) -> Bool {
        (try? UTF8Span(validating: utf8.assumingMemoryBound(to: UInt8.self).span)) != nil
    }
}

extension JSONWriter {
    /// The largest integer that every JSON parser keeps exactly: 2^53 − 1.
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

    /// REAL of the database: the shortest number that parses to the same value, else `{"$real":"Infinity"}`.
    ///
    /// Always with a point or an exponent, so that a parser can distinguish it from an INTEGER.
    package mutating func real(_ value: Double) {
        beginValue()
        guard value.isFinite else {
            // SQLite converts NaN to NULL before it is visible: https://sqlite.org/floatingpoint.html
            if value.isNaN { return append("null") }
            return append(value < 0 ? "{\"$real\":\"-Infinity\"}" : "{\"$real\":\"Infinity\"}")
        }
        if appendDecimal(fraction: value) { return }
        var text = value.description
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a number of at most 15 digits, four of them after the point, as most amounts and measurements are. For
    /// other numbers returns false and appends nothing.
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
            // 10^19 is the largest power of ten that fits.
            if count == 20 { break }
            bound &*= 10
        }
        return count
    }
}

/// Base 64 with padding. Source: [RFC 4648 section 4](https://www.rfc-editor.org/rfc/rfc4648#section-4).
package enum Base64 {
    static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    static let padding = UInt8(ascii: "=")

    private static let invalid: UInt8 = 0xFF
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: invalid, count: 256)
        for value in 0..<64 { values[Int(alphabet.utf8Start[value])] = UInt8(value) }
        return values
    }()

    package static func encode(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: encodedCount(bytes.count)) { text in
            bytes.withUnsafeBytes { encode($0, into: text) }
            return encodedCount(bytes.count)
        }
    }

    /// The bytes; nil when `text` is not padded base 64, or has bits beyond the last byte.
    package static func decode(_ text: String) -> [UInt8]? {
        var text = text
        return text.withUTF8 { decode($0) }
    }

    static func encodedCount(_ count: Int) -> Int { (count + 2) / 3 * 4 }

    /// Fills `text`, which has room for ``encodedCount(_:)`` bytes.
    static func encode(_ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableBufferPointer<UInt8>) {
        let digits = alphabet.utf8Start
        var index = 0
        var output = 0
        while index + 3 <= bytes.count {
            let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
            text[output] = digits[Int(group >> 18)]
            text[output + 1] = digits[Int(group >> 12 & 63)]
            text[output + 2] = digits[Int(group >> 6 & 63)]
            text[output + 3] = digits[Int(group & 63)]
            index += 3
            output += 4
        }
        let left = bytes.count - index
        guard left > 0 else { return }
        let group = UInt32(bytes[index]) << 16 | (left == 2 ? UInt32(bytes[index + 1]) << 8 : 0)
        text[output] = digits[Int(group >> 18)]
        text[output + 1] = digits[Int(group >> 12 & 63)]
        text[output + 2] = left == 2 ? digits[Int(group >> 6 & 63)] : padding
        text[output + 3] = padding
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var end = text.count
        while end > 0, text.count - end < 2, text[end - 1] == padding { end -= 1 }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(end * 3 / 4)
        var bits: UInt32 = 0
        var bitCount = 0
        for character in text[..<end] {
            let value = values[Int(character)]
            if value == invalid { return nil }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
                bits &= (1 << UInt32(bitCount)) - 1
            }
        }
        return bits == 0 ? bytes : nil
    }
}

extension JSONWriter {
    mutating func appendBase64(_ content: UnsafeRawBufferPointer) {
        append(atMost: Base64.encodedCount(content.count)) { room in
            Base64.encode(content, into: room.assumingMemoryBound(to: UInt8.self))
            return room.count
        }
    }
}
