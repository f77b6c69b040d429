package import NIOCore
import WireProtocol

/// Cuts a stream of bytes into frames and refuses what RFC 6455 section 5 forbids, at the first byte that shows it.
///
/// A value without I/O: give it the bytes as they come, in any pieces, and call ``next(_:)`` until it returns nil. It
/// keeps at most one unfinished header; payloads are handed on as they arrive and never gathered here.
package struct FrameDecoder: Sendable {
    package enum Event: Sendable, Hashable {
        /// A frame begins. At least one ``payload(_:)`` follows, also for an empty frame.
        case header(FrameHeader)
        case payload(FramePayload)
    }

    /// Part of a frame's payload as it came over the wire.
    package struct FramePayload: Sendable, Hashable {
        /// Still masked.
        package var bytes: ByteBuffer
        /// The key as it applies to the first of `bytes`.
        package var mask: MaskingKey?
        /// Whether this is the last part of the frame.
        package var endsFrame: Bool
    }

    private let role: EndpointRole
    /// Whether RSV1 has been given a meaning by permessage-deflate.
    private let allowsCompression: Bool
    /// The bytes of an unfinished header, in place: a connection at rest owns no buffer.
    private var headerBytes = SIMD16<UInt8>(repeating: 0)
    private var headerCount = 0
    /// What is left of the payload of the current frame; nil between frames.
    private var remaining: Int?
    private var mask: MaskingKey?

    package init(role: EndpointRole, allowsCompression: Bool = false) {
        self.role = role
        self.allowsCompression = allowsCompression
    }

    /// The next event, or nil when `input` is used up.
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

    /// The header when its bytes are complete; each byte is judged as soon as it is there.
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
        // RFC 7692 section 6.1: the bit belongs to the first frame of a data message alone.
        if opening & 0x40 != 0 && !(allowsCompression && (opcode == .text || opcode == .binary)) {
            throw .protocolError("the compression bit is set where it has no meaning")
        }
        if opcode.isControl && opening & 0x80 == 0 {
            throw .protocolError("a control frame must not be fragmented")
        }
        return opcode
    }

    /// Section 5.2: "the minimal number of bytes MUST be used to encode the length", and 63 bits are all there are.
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
