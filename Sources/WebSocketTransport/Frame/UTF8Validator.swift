/// Tells whether bytes that come in any pieces are UTF-8, at the first byte that shows they are not.
///
/// RFC 6455 section 8.1 with the definition of RFC 3629: no surrogates, nothing above U+10FFFF, no overlong form.
package struct UTF8Validator: Sendable {
    /// Continuation bytes that the current character still needs.
    private var pending: UInt8 = 0
    /// What the next continuation byte may be: the bounds are narrower than 80…BF after E0, ED, F0 and F4.
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    package init() {}

    /// Whether what came so far ends at the end of a character.
    package var isComplete: Bool { pending == 0 }

    /// False as soon as no continuation could make it UTF-8; the validator is of no use after that.
    package mutating func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var index = 0
        while index < bytes.count {
            if pending == 0 {
                index = skipASCII(base, from: index, count: bytes.count)
                if index == bytes.count { break }
            }
            guard acceptByte(base.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index += 1
        }
        return true
    }

    /// Sixteen bytes at a time: nearly all of our text is ASCII.
    private func skipASCII(_ base: UnsafeRawPointer, from start: Int, count: Int) -> Int {
        var index = start
        while index &+ 16 <= count {
            let first = base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let second = base.loadUnaligned(fromByteOffset: index &+ 8, as: UInt64.self)
            if (first | second) & 0x8080_8080_8080_8080 != 0 { break }
            index &+= 16
        }
        while index < count && base.load(fromByteOffset: index, as: UInt8.self) < 0x80 {
            index &+= 1
        }
        return index
    }

    private mutating func acceptByte(_ byte: UInt8) -> Bool {
        if pending > 0 {
            guard byte >= lowest && byte <= highest else { return false }
            pending -= 1
            (lowest, highest) = (0x80, 0xBF)
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: expect(1)
        case 0xE0: expect(2, 0xA0, 0xBF)
        case 0xED: expect(2, 0x80, 0x9F)
        case 0xE1...0xEF: expect(2)
        case 0xF0: expect(3, 0x90, 0xBF)
        case 0xF4: expect(3, 0x80, 0x8F)
        case 0xF1...0xF3: expect(3)
        default: return false
        }
        return true
    }

    private mutating func expect(_ count: UInt8, _ lowest: UInt8 = 0x80, _ highest: UInt8 = 0xBF) {
        pending = count
        self.lowest = lowest
        self.highest = highest
    }
}
