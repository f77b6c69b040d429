import NIOCore

/// The first 2 to 14 bytes of a frame, RFC 6455 section 5.2.
package struct FrameHeader: Sendable, Hashable {
    package var isFinal: Bool
    /// RSV1: the message is compressed (RFC 7692 section 6). Only on the first frame of a message.
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

    /// No header is longer.
    static let maxBytes = 14

    /// Control frames carry no more payload than this.
    static let maxControlPayloadBytes = 125

    var encodedBytes: Int {
        let length = payloadBytes < 126 ? 2 : payloadBytes <= 0xFFFF ? 4 : 10
        return length + (mask == nil ? 0 : 4)
    }

    /// Appends the header in its shortest form, the only one that is allowed.
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
