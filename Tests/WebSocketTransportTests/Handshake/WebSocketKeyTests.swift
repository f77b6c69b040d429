import Testing

@testable import WebSocketTransport

@Suite struct WebSocketKeyTests {
    @Test func `SHA-1 gives the digests of RFC 3174`() {
        func hex(_ text: String) -> String {
            SHA1.hash(text.utf8).map { byte in
                let digits = String(byte, radix: 16)
                return digits.count == 1 ? "0" + digits : digits
            }.joined()
        }
        #expect(hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(
            hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        )
        #expect(
            hex(String(repeating: "0123456701234567012345670123456701234567012345670123456701234567", count: 10))
                == "dea356a2cddd90c7a7ecedc5ebb563934f460452"
        )
    }

    @Test func `random keys are keys, and differ`() {
        let keys = (0..<100).map { _ in WebSocketKey.random().text }
        #expect(Set(keys).count == 100)
        #expect(keys.allSatisfy { WebSocketKey($0) != nil })
    }

    @Test(arguments: [
        "", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA=A", "AAAAAAAAAAAAAAAAAAAAA===",
        "AAAAAAAAAA AAAAAAAAAAA==",
    ])
    func `what is not the Base64 form of sixteen bytes is no key`(text: String) {
        #expect(WebSocketKey(text) == nil)
    }
}
