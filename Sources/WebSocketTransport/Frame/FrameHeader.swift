package import NIOCore

/// The first 2 to 14 bytes of a frame, RFC 6455 section 5.2.
package struct FrameHeader: Sendable, Hashable {
    package var isFinal: Bool
    /// RSV1: the message is compressed (RFC 7692 section 6). Set only on the first frame of a message.
    package var isCompressed: Bool
    package var opcode: Opcode
    package var payloadBytes: Int
    package var mask: MaskingKey?

    package init(
        _ opcode: Opcode,
        payloadBytes: Int,
        isFinal: Bool = true,
        isCompressed: Bool = false,
        mask: MaskingKey? = nil
    ) {
        self.opcode = opcode
        self.payloadBytes = payloadBytes
        self.isFinal = isFinal
        self.isCompressed = isCompressed
        self.mask = mask
    }

    /// The maximum length of a header.
    static let maxBytes = 14

    /// The maximum payload of a control frame.
    static let maxControlPayloadBytes = 125

    var encodedBytes: Int {
        let length = payloadBytes < 126 ? 2 : payloadBytes <= 0xFFFF ? 4 : 10
        return length + (mask == nil ? 0 : 4)
    }

    /// Appends the header in its shortest form, which is the only allowed one.
    func write(to buffer: inout ByteBuffer) {
        let opening = opcode.rawValue | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0)
        let masked: UInt8 = mask == nil ? 0 : 0x80
        if payloadBytes < 126 {
            buffer.writeMultipleIntegers(opening, masked | UInt8(payloadBytes))
        } else if payloadBytes <= 0xFFFF {
            buffer.writeMultipleIntegers(opening, masked | 126, UInt16(payloadBytes))
        } else {
            buffer.writeMultipleIntegers(opening, masked | 127, UInt64(payloadBytes))
        }
        if let mask {
            buffer.writeMultipleIntegers(mask[0], mask[1], mask[2], mask[3])
        }
    }
}

/// Encodes whole frames: header and payload in one buffer, which can be written to any number of connections.
package enum FrameEncoder {
    /// A text message in one frame, as a server sends it; compressed if `payload` is the output of a ``Deflater``.
    package static func text(_ payload: ByteBuffer, isCompressed: Bool = false) -> ByteBuffer {
        frame(.text, payload, isCompressed: isCompressed)
    }

    package static func frame(
        _ opcode: Opcode,
        _ payload: ByteBuffer,
        isFinal: Bool = true,
        isCompressed: Bool = false,
        mask: MaskingKey? = nil
    ) -> ByteBuffer {
        let header = FrameHeader(
            opcode,
            payloadBytes: payload.readableBytes,
            isFinal: isFinal,
            isCompressed: isCompressed,
            mask: mask
        )
        var buffer = ByteBufferAllocator().buffer(capacity: header.encodedBytes + payload.readableBytes)
        header.write(to: &buffer)
        if let mask {
            buffer.write(payload.readableBytesView, applying: mask)
        } else {
            buffer.writeImmutableBuffer(payload)
        }
        return buffer
    }

    /// The heartbeat's ping: empty, so that one buffer serves every connection of a server.
    static let emptyPing = frame(.ping, ByteBuffer())
}

/// The four bytes that mask a client's frame, RFC 6455 section 5.3.
package struct MaskingKey: Sendable, Hashable {
    /// The key with its first byte in the lowest eight bits, on any machine.
    private var word: UInt32

    package init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        word = UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
    }

    /// A new key from the system's generator: the RFC requires one that the application cannot predict.
    package static func random() -> MaskingKey {
        var generator = SystemRandomNumberGenerator()
        let word: UInt32 = generator.next()
        return MaskingKey(word: word)
    }

    private init(word: UInt32) { self.word = word }

    package subscript(index: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: word >> (8 * UInt32(truncatingIfNeeded: index & 3)))
    }

    /// The key, aligned to a position `count` bytes further into the payload.
    package func advanced(by count: Int) -> MaskingKey {
        let bits = 8 * UInt32(truncatingIfNeeded: count & 3)
        return bits == 0 ? self : MaskingKey(word: word >> bits | word << (32 - bits))
    }

    /// Masks or unmasks `source` into `target`, which has the same length and may be the same memory.
    ///
    /// It works in words of eight bytes, a loop that the optimizer turns into vector instructions.
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

/// The kind of a frame, RFC 6455 section 5.2. The other ten values are reserved and are a protocol error here.
package enum Opcode: UInt8, Sendable, Hashable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Control frames are never fragmented, carry at most 125 bytes, and may come between fragments (section 5.5).
    var isControl: Bool { rawValue & 0x8 != 0 }
}

/// The role of an endpoint: a client masks its frames, a server must not (RFC 6455 section 5.1).
package enum EndpointRole: Sendable, Hashable {
    case server
    case client

    /// Whether frames received at this end are masked.
    var receivesMaskedFrames: Bool { self == .server }
}
