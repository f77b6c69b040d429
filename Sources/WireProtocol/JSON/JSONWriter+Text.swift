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

    /// Appends a quoted string, escaping what [RFC 8259 section 7](https://www.rfc-editor.org/rfc/rfc8259#section-7)
    /// demands and nothing else. False when the bytes are not UTF-8; what was appended is then of no use.
    mutating func appendQuoted(_ utf8: UnsafeRawBufferPointer, isKnownUTF8: Bool) -> Bool {
        append(UInt8(ascii: "\""))
        var seen: UInt64 = 0
        var index = 0
        while true {
            // The room is for the rest and the quote: mostly all is written at once.
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
        // Only bytes with the high bit set can be wrong.
        return isKnownUTF8 || seen & Self.highBits == 0 || Self.isUTF8(utf8)
    }

    private static let highBits: UInt64 = 0x8080_8080_8080_8080
    private static let lowBits: UInt64 = 0x0101_0101_0101_0101

    /// Copies up to the first quote, backslash or control character, eight bytes at a time, and returns its index. `seen`
    /// collects the bits of all bytes looked at.
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
            // What lies beyond a hit is overwritten by what comes next.
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
