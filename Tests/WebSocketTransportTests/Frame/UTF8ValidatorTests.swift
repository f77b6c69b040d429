import RandomSupport
import Testing

@testable import WebSocketTransport

@Suite struct UTF8ValidatorTests {
    private func accepts(_ parts: [ArraySlice<UInt8>]) -> Bool {
        var validator = UTF8Validator()
        return parts.allSatisfy { part in part.withUnsafeBytes { validator.accepts($0) } } && validator.isComplete
    }

    @Test func `every scalar value is accepted and every other sequence of its kind is not`() {
        for value in stride(from: UInt32(0), through: 0x10FFFF, by: 37) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let bytes = Array(String(Character(scalar)).utf8)
            #expect(accepts([bytes[...]]))
            for cut in 1..<max(bytes.count, 1) {
                #expect(accepts([bytes[..<cut], bytes[cut...]]))
                #expect(!accepts([bytes[..<cut]]))
            }
        }
    }

    @Test(
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
            [0xED, 0xBF, 0xBF],
            [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
            [0xFF],
            [0xC3, 0x28], [0xE2, 0x82, 0x28],
        ] as [[UInt8]]
    )
    func `overlong forms, surrogates and stray bytes are refused`(bytes: [UInt8]) {
        #expect(!accepts([bytes[...]]))
        #expect(!accepts([Array(repeating: 0x41, count: 40)[...], bytes[...]]))
    }

    @Test func `it agrees with the standard library on random bytes in random pieces`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let alphabet: [UInt8] = [0x20, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5]
        for _ in 0..<20_000 {
            var bytes = Array(repeating: UInt8(0x61), count: Int.random(in: 0...40, using: &generator))
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                bytes.insert(
                    alphabet.randomElement(using: &generator) ?? 0,
                    at: Int.random(in: 0...bytes.count, using: &generator)
                )
            }
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            #expect(accepts([bytes[..<cut], bytes[cut...]]) == isValid, "seed \(seed), \(bytes) cut at \(cut)")
        }
    }
}
