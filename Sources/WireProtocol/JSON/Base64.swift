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

    /// The bytes, or nil when `text` is not base 64 with its padding, or has bits beyond the last byte.
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
