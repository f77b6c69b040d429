/// The nonce of an opening handshake, RFC 6455 section 4.1: sixteen bytes in Base64.
package struct WebSocketKey: Sendable, Hashable {
    /// As it stands in `Sec-WebSocket-Key`.
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

    /// A fresh one, for a client.
    package static func random() -> WebSocketKey {
        var generator = SystemRandomNumberGenerator()
        return WebSocketKey(bytes: (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    private init(bytes: [UInt8]) { text = Base64.encode(bytes) }

    /// What the server must answer in `Sec-WebSocket-Accept`, section 4.2.2.
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
