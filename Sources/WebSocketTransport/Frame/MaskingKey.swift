import NIOCore

/// The four bytes that a client's frame is masked with, RFC 6455 section 5.3.
package struct MaskingKey: Sendable, Hashable {
    /// The key with its first byte in the lowest eight bits, whatever the machine's byte order.
    private var word: UInt32

    package init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        word = UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
    }

    /// A fresh key from the system's generator: the RFC asks for one that the application cannot predict.
    package static func random() -> MaskingKey {
        var generator = SystemRandomNumberGenerator()
        let word: UInt32 = generator.next()
        return MaskingKey(word: word)
    }

    private init(word: UInt32) { self.word = word }

    package subscript(index: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: word >> (8 * UInt32(truncatingIfNeeded: index & 3)))
    }

    /// The key as it applies `count` bytes further into the payload.
    package func advanced(by count: Int) -> MaskingKey {
        let bits = 8 * UInt32(truncatingIfNeeded: count & 3)
        return bits == 0 ? self : MaskingKey(word: word >> bits | word << (32 - bits))
    }

    /// Masks or unmasks `source` into `target`, which has the same length and may be the same memory.
    ///
    /// It works in words of eight bytes, a loop that the optimiser turns into vector instructions.
    func apply(to source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= source.count)
        guard let from = source.baseAddress, let into = target.baseAddress else { return }
        let wide = UInt64(word) | UInt64(word) << 32
        let key = UInt64(littleEndian: wide)
        let wholeWords = source.count & ~7
        var offset = 0
        while offset < wholeWords {
            let masked = from.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            into.storeBytes(of: masked ^ key, toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        while offset < source.count {
            let masked = from.load(fromByteOffset: offset, as: UInt8.self)
            into.storeBytes(of: masked ^ self[offset], toByteOffset: offset, as: UInt8.self)
            offset += 1
        }
    }
}

extension ByteBuffer {
    /// Appends `bytes`, masked or unmasked with `key`, without a second copy.
    mutating func write(_ bytes: ByteBufferView, applying key: MaskingKey) {
        bytes.withUnsafeBytes { source in
            _ = writeWithUnsafeMutableBytes(minimumWritableBytes: source.count) { target in
                key.apply(to: source, into: target)
                return source.count
            }
        }
    }
}
