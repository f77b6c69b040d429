/// The nonce of an opening handshake, RFC 6455 section 4.1: sixteen bytes in Base64.
package struct WebSocketKey: Sendable, Hashable {
    /// The value of `Sec-WebSocket-Key`.
    package let text: String

    /// Nil unless `text` is the Base64 form of exactly sixteen bytes.
    package init?(_ text: String) {
        let symbols = Array(text.utf8)
        // Sixteen bytes are 22 symbols and two pads; the last symbol holds two bits, so only four values are canonical.
        // Not all clients clear the unused bits, and nothing depends on them.
        guard symbols.count == 24, symbols[22...].allSatisfy({ $0 == UInt8(ascii: "=") }) else { return nil }
        guard symbols[..<22].allSatisfy(Base64.alphabet.contains) else { return nil }
        self.text = text
    }

    /// A new key, for a client.
    package static func random() -> WebSocketKey {
        var generator = SystemRandomNumberGenerator()
        return WebSocketKey(bytes: (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    private init(bytes: [UInt8]) { text = Base64.encode(bytes) }

    /// The required value of `Sec-WebSocket-Accept`, section 4.2.2.
    package var accept: String {
        Base64.encode(SHA1.hash("\(text)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
    }
}

private enum Base64 {
    static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var symbols: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let padded = group + [UInt8](repeating: 0, count: 3 - group.count)
            let word = padded.reduce(0) { $0 << 8 | Int($1) }
            for index in 0..<4 {
                symbols.append(index <= group.count ? alphabet[word >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: symbols, as: UTF8.self)
    }
}

/// SHA-1 (RFC 3174) of short input, for the only purpose that RFC 6455 has for it: `Sec-WebSocket-Accept`.
///
/// It provides no security: it proves that the server read the request. Therefore no library is needed, and it must not
/// be used for anything else.
package enum SHA1 {
    package static func hash(_ message: some Sequence<UInt8>) -> [UInt8] {
        var bytes = Array(message)
        let bitCount = UInt64(bytes.count) * 8
        bytes.append(0x80)
        while bytes.count % 64 != 56 { bytes.append(0) }
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: bitCount >> UInt64(shift)))
        }
        var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
        for start in stride(from: 0, to: bytes.count, by: 64) {
            mix(bytes[start..<(start + 64)], into: &state)
        }
        return state.flatMap { word in
            [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) }
        }
    }

    private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
        var words = [UInt32](repeating: 0, count: 80)
        for (index, byte) in block.enumerated() {
            words[index / 4] = words[index / 4] << 8 | UInt32(byte)
        }
        for index in 16..<80 {
            words[index] = rotate(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for index in 0..<80 {
            let (choice, constant) = round(index, b, c, d)
            let next = rotate(a, 5) &+ choice &+ e &+ constant &+ words[index]
            (a, b, c, d, e) = (next, a, rotate(b, 30), c, d)
        }
        for (index, value) in [a, b, c, d, e].enumerated() {
            state[index] &+= value
        }
    }

    private static func round(_ index: Int, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> (UInt32, UInt32) {
        switch index {
        case ..<20: (b & c | ~b & d, 0x5A82_7999)
        case ..<40: (b ^ c ^ d, 0x6ED9_EBA1)
        case ..<60: (b & c | b & d | c & d, 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
    }

    private static func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 {
        word << bits | word >> (32 - bits)
    }
}
