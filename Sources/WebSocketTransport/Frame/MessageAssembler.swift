package import NIOCore
import WireProtocol

/// A complete, validated message from the peer.
package enum InboundMessage: Sendable, Hashable {
    /// Valid UTF-8.
    case text(ByteBuffer)
    case binary(ByteBuffer)
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    case close(CloseFrame)
}

/// Joins frames into messages: fragments, control frames between them, decompression, UTF-8, the size limit.
///
/// A value without I/O; its input are the events of a ``FrameDecoder``. Payload is copied once, while it is unmasked,
/// so the buffer of a read is never kept. Not `Sendable`: a compressed message borrows a decompressor of its event
/// loop.
struct MessageAssembler {
    /// A message whose last frame has not arrived.
    private struct Message {
        var opcode: Opcode
        var payload: ByteBuffer
        /// Set while the message is compressed.
        var inflater: Inflater?
        var validator = UTF8Validator()
    }

    private let maxMessageBytes: Int
    private let acceptsBinary: Bool
    private let inflaters: InflaterPool?
    private let keepsInflater: Bool
    private var frame: FrameHeader?
    private var message: Message?
    private var control = ByteBuffer()
    /// The decompressor of a client that compresses with context takeover.
    private var ownInflater: Inflater?

    /// Decompressors come from `inflaters`, which is nil without permessage-deflate; one is kept (`keepsInflater`) when
    /// the peer's messages refer to earlier ones.
    init(maxMessageBytes: Int, acceptsBinary: Bool, inflaters: InflaterPool? = nil, keepsInflater: Bool = false) {
        self.maxMessageBytes = maxMessageBytes
        self.acceptsBinary = acceptsBinary
        self.inflaters = inflaters
        self.keepsInflater = keepsInflater
    }

    /// Returns a message if the event completes one.
    mutating func take(_ event: FrameDecoder.Event) throws(ProtocolViolation) -> InboundMessage? {
        switch event {
        case .header(let header):
            try begin(header)
            return nil
        case .payload(let payload):
            return try append(payload)
        }
    }

    private mutating func begin(_ header: FrameHeader) throws(ProtocolViolation) {
        frame = header
        switch header.opcode {
        case .close, .ping, .pong:
            control.clear()
            return
        case .continuation:
            guard message != nil else { throw .protocolError("a continuation without a message to continue") }
        case .text, .binary:
            guard message == nil else {
                throw .protocolError("a new message before the last fragment of the current one")
            }
            if header.opcode == .binary && !acceptsBinary {
                throw ProtocolViolation(.unacceptableData, "binary messages are not accepted; send text")
            }
            message = try start(header)
        }
        // The announced length is enough to refuse it: no memory is reserved, and nothing read, for a message that is
        // too big.
        let received = message?.payload.readableBytes ?? 0
        if message?.inflater == nil && header.payloadBytes > maxMessageBytes - received {
            throw .tooBig(limitBytes: maxMessageBytes)
        }
    }

    private mutating func start(_ header: FrameHeader) throws(ProtocolViolation) -> Message {
        var message = Message(opcode: header.opcode, payload: ByteBuffer())
        guard header.isCompressed else {
            // A false length reserves no more than this; the buffer grows with the bytes that arrive.
            message.payload.reserveCapacity(min(header.payloadBytes, maxMessageBytes, 65_536))
            return message
        }
        guard let inflater = ownInflater ?? inflaters?.take() else {
            throw ProtocolViolation(.internalError, "no memory to decompress the message")
        }
        ownInflater = nil
        message.inflater = inflater
        return message
    }

    private mutating func append(_ part: FrameDecoder.FramePayload) throws(ProtocolViolation) -> InboundMessage? {
        guard let frame else { return nil }
        if frame.opcode.isControl {
            Self.copy(part, to: &control)
            return part.endsFrame ? try controlMessage(frame.opcode) : nil
        }
        // Removed and put back, so that the payload's storage has one owner and grows in place.
        guard var message = message.take() else { return nil }
        try append(part, to: &message)
        if part.endsFrame && frame.isFinal {
            return try complete(&message)
        }
        self.message = message
        return nil
    }

    private func append(_ part: FrameDecoder.FramePayload, to message: inout Message) throws(ProtocolViolation) {
        let start = message.payload.writerIndex
        if let inflater = message.inflater {
            var plain = ByteBuffer()
            Self.copy(part, to: &plain)
            let maxBytes = maxMessageBytes
            try plain.readableBytesView.withUnsafeBytes { bytes throws(ProtocolViolation) in
                try inflater.inflate(bytes, into: &message.payload, maxBytes: maxBytes)
            }
        } else {
            Self.copy(part, to: &message.payload)
        }
        try checkText(&message, from: start)
    }

    private mutating func complete(_ message: inout Message) throws(ProtocolViolation) -> InboundMessage {
        if let inflater = message.inflater {
            let start = message.payload.writerIndex
            try inflater.finish(into: &message.payload, maxBytes: maxMessageBytes)
            try checkText(&message, from: start)
            if keepsInflater {
                ownInflater = inflater
            } else {
                inflaters?.give(inflater)
            }
        }
        guard message.opcode == .text else { return .binary(message.payload) }
        guard message.validator.isComplete else { throw .notUTF8 }
        return .text(message.payload)
    }

    /// Section 8.1, checked for every part: an invalid byte ends the connection before the rest of the message arrives.
    private func checkText(_ message: inout Message, from start: Int) throws(ProtocolViolation) {
        guard message.opcode == .text else { return }
        let isText = message.payload.withUnsafeReadableBytes { bytes in
            message.validator.accepts(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        }
        guard isText else { throw .notUTF8 }
    }

    private mutating func controlMessage(_ opcode: Opcode) throws(ProtocolViolation) -> InboundMessage {
        let payload = control
        control = ByteBuffer()
        switch opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        default: return .close(try CloseFrame(payload: payload))
        }
    }

    private static func copy(_ part: FrameDecoder.FramePayload, to target: inout ByteBuffer) {
        if let mask = part.mask {
            target.write(part.bytes.readableBytesView, applying: mask)
        } else {
            target.writeImmutableBuffer(part.bytes)
        }
    }
}

/// Validates UTF-8 that arrives in any pieces, and fails at the first invalid byte.
///
/// RFC 6455 section 8.1 with the definition of RFC 3629: no surrogates, nothing above U+10FFFF, no overlong form.
package struct UTF8Validator: Sendable {
    /// The number of continuation bytes that the current character still needs.
    private var pending: UInt8 = 0
    /// The allowed range of the next continuation byte, which is narrower than 80…BF after E0, ED, F0 and F4.
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    package init() {}

    /// Whether the bytes so far end at a character boundary.
    package var isComplete: Bool { pending == 0 }

    /// False as soon as no continuation can make the bytes valid; the validator cannot be used after that.
    package mutating func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var index = 0
        while index < bytes.count {
            if pending == 0 {
                index = skipASCII(base, from: index, count: bytes.count)
                if index == bytes.count { break }
            }
            guard acceptByte(base.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index += 1
        }
        return true
    }

    /// Sixteen bytes at a time: most text is ASCII.
    private func skipASCII(_ base: UnsafeRawPointer, from start: Int, count: Int) -> Int {
        var index = start
        while index &+ 16 <= count {
            let first = base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let second = base.loadUnaligned(fromByteOffset: index &+ 8, as: UInt64.self)
            if (first | second) & 0x8080_8080_8080_8080 != 0 { break }
            index &+= 16
        }
        while index < count && base.load(fromByteOffset: index, as: UInt8.self) < 0x80 {
            index &+= 1
        }
        return index
    }

    private mutating func acceptByte(_ byte: UInt8) -> Bool {
        if pending > 0 {
            guard byte >= lowest && byte <= highest else { return false }
            pending -= 1
            (lowest, highest) = (0x80, 0xBF)
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: expect(1)
        case 0xE0: expect(2, 0xA0, 0xBF)
        case 0xED: expect(2, 0x80, 0x9F)
        case 0xE1...0xEF: expect(2)
        case 0xF0: expect(3, 0x90, 0xBF)
        case 0xF4: expect(3, 0x80, 0x8F)
        case 0xF1...0xF3: expect(3)
        default: return false
        }
        return true
    }

    private mutating func expect(_ count: UInt8, _ lowest: UInt8 = 0x80, _ highest: UInt8 = 0xBF) {
        pending = count
        self.lowest = lowest
        self.highest = highest
    }
}
