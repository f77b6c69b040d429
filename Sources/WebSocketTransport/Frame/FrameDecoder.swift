package import NIOCore
import WireProtocol

/// Splits a stream of bytes into frames and rejects what RFC 6455 section 5 forbids, at the first byte that shows it.
///
/// A value without I/O: pass the bytes as they arrive, in any pieces, and call ``next(_:)`` until it returns nil. It
/// keeps at most one incomplete header; payloads are passed on as they arrive and never collected here.
package struct FrameDecoder: Sendable {
    package enum Event: Sendable, Hashable {
        /// A frame begins. At least one ``payload(_:)`` follows, also for an empty frame.
        case header(FrameHeader)
        case payload(FramePayload)
    }

    /// A part of a frame's payload as received.
    package struct FramePayload: Sendable, Hashable {
        /// Still masked.
        package var bytes: ByteBuffer
        /// The key, aligned to the first of `bytes`.
        package var mask: MaskingKey?
        /// Whether this is the last part of the frame.
        package var endsFrame: Bool
    }

    private let role: EndpointRole
    /// Whether permessage-deflate defines RSV1.
    private let allowsCompression: Bool
    /// The bytes of an incomplete header, stored inline: an idle connection owns no buffer.
    private var headerBytes = SIMD16<UInt8>(repeating: 0)
    private var headerCount = 0
    /// The remaining payload bytes of the current frame; nil between frames.
    private var remaining: Int?
    private var mask: MaskingKey?

    package init(role: EndpointRole, allowsCompression: Bool = false) {
        self.role = role
        self.allowsCompression = allowsCompression
    }

    /// The next event, or nil when `input` is exhausted.
    package mutating func next(_ input: inout ByteBuffer) throws(ProtocolViolation) -> Event? {
        if let remaining {
            return readPayload(remaining, from: &input)
        }
        while let byte = input.readInteger(as: UInt8.self) {
            headerBytes[headerCount] = byte
            headerCount += 1
            if let header = try parseHeader() {
                headerCount = 0
                remaining = header.payloadBytes
                mask = header.mask
                return .header(header)
            }
        }
        return nil
    }

    private mutating func readPayload(_ remaining: Int, from input: inout ByteBuffer) -> Event? {
        let count = min(remaining, input.readableBytes)
        guard count > 0 || remaining == 0, let bytes = input.readSlice(length: count) else { return nil }
        let payload = FramePayload(bytes: bytes, mask: mask, endsFrame: count == remaining)
        mask = mask?.advanced(by: count)
        self.remaining = payload.endsFrame ? nil : remaining - count
        return .payload(payload)
    }

    /// The header when its bytes are complete; each byte is checked as soon as it is available.
    private func parseHeader() throws(ProtocolViolation) -> FrameHeader? {
        let opening = headerBytes[0]
        let opcode = try checkedOpcode(opening)
        guard headerCount >= 2 else { return nil }
        let second = headerBytes[1]
        let isMasked = second & 0x80 != 0
        let shortLength = Int(second & 0x7F)
        if isMasked != role.receivesMaskedFrames {
            throw .protocolError(isMasked ? "a server's frame must not be masked" : "a client's frame must be masked")
        }
        if opcode.isControl && shortLength > FrameHeader.maxControlPayloadBytes {
            throw .protocolError("a control frame carries at most 125 bytes")
        }
        let lengthBytes = shortLength == 126 ? 2 : shortLength == 127 ? 8 : 0
        guard headerCount == 2 + lengthBytes + (isMasked ? 4 : 0) else { return nil }
        var header = FrameHeader(
            opcode,
            payloadBytes: try payloadLength(shortLength, lengthBytes),
            isFinal: opening & 0x80 != 0,
            isCompressed: opening & 0x40 != 0
        )
        if isMasked {
            let at = 2 + lengthBytes
            header.mask = MaskingKey(
                headerBytes[at],
                headerBytes[at + 1],
                headerBytes[at + 2],
                headerBytes[at + 3]
            )
        }
        return header
    }

    private func checkedOpcode(_ opening: UInt8) throws(ProtocolViolation) -> Opcode {
        guard let opcode = Opcode(rawValue: opening & 0x0F) else {
            throw .protocolError("opcode \(opening & 0x0F) is reserved")
        }
        if opening & 0x30 != 0 {
            throw .protocolError("a reserved bit is set")
        }
        // RFC 7692 section 6.1: only the first frame of a data message may set the bit.
        if opening & 0x40 != 0 && !(allowsCompression && (opcode == .text || opcode == .binary)) {
            throw .protocolError("the compression bit is set where it has no meaning")
        }
        if opcode.isControl && opening & 0x80 == 0 {
            throw .protocolError("a control frame must not be fragmented")
        }
        return opcode
    }

    /// Section 5.2: "the minimal number of bytes MUST be used to encode the length", and a length has at most 63 bits.
    private func payloadLength(_ short: Int, _ lengthBytes: Int) throws(ProtocolViolation) -> Int {
        if lengthBytes == 0 { return short }
        var length: UInt64 = 0
        for index in 2..<(2 + lengthBytes) {
            length = length << 8 | UInt64(headerBytes[index])
        }
        if length > UInt64(Int64.max) {
            throw .protocolError("the highest bit of a frame's length must be 0")
        }
        if length < (lengthBytes == 2 ? 126 : 0x1_0000) {
            throw .protocolError("a frame's length must be in its shortest form")
        }
        guard let count = Int(exactly: length) else {
            throw ProtocolViolation(.messageTooBig, "a frame of \(length) bytes does not fit in memory")
        }
        return count
    }
}
