import NIOCore
import RandomSupport
import Testing

@testable import WebSocketTransport

@Suite struct MaskingKeyTests {
    @Test func `word by word gives the same as byte by byte at every length and offset`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let key = MaskingKey(1, 0x80, 0xFE, 0x33)
        for length in 0..<70 {
            for offset in 0..<5 {
                let bytes = generator.bytes(length)
                var masked = ByteBuffer()
                masked.write(ByteBuffer(bytes: bytes).readableBytesView, applying: key.advanced(by: offset))
                let expected = bytes.enumerated().map { $1 ^ key[$0 + offset] }
                #expect(Array(masked.readableBytesView) == expected, "seed \(seed), length \(length), offset \(offset)")
            }
        }
    }
}
