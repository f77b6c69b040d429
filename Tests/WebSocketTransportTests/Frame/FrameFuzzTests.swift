import NIOCore
import RandomSupport
import Testing
import WireProtocol

@testable import WebSocketTransport

/// Compares random streams with a decoder that is too simple to be wrong.
@Suite struct FrameFuzzTests {
    private let seed = UInt64.random(in: 0...UInt64.max)

    @Test func `random messages survive random cuts`() throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let (bytes, expected) = randomConversation(&generator)
            var reader = MessageReader()
            var messages: [InboundMessage] = []
            var rest = bytes
            while rest.readableBytes > 0 {
                let count = min(rest.readableBytes, Int.random(in: 1...50, using: &generator))
                if let part = rest.readSlice(length: count) { messages += try reader.read(part) }
            }
            #expect(messages == expected, "seed \(seed)")
        }
    }

    @Test func `damaged streams are judged like the reference judges them, and never crash`() {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            var bytes = Array(randomConversation(&generator).bytes.readableBytesView)
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            let violation = MessageReader.violation(ByteBuffer(bytes: bytes), maxMessageBytes: 10_000)
            #expect(violation == ReferenceDecoder.violation(bytes, maxMessageBytes: 10_000), "seed \(seed), \(bytes)")
        }
    }

    @Test func `garbage never crashes`() {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let bytes = generator.bytes(Int.random(in: 0...64, using: &generator))
            _ = MessageReader.violation(ByteBuffer(bytes: bytes), isCompressed: Bool.random(using: &generator))
        }
    }

    private func randomConversation(_ generator: inout SeededGenerator) -> (bytes: ByteBuffer, [InboundMessage]) {
        var bytes = ByteBuffer()
        var messages: [InboundMessage] = []
        for _ in 0..<Int.random(in: 1...5, using: &generator) {
            let isText = Bool.random(using: &generator)
            let count = Int.random(in: 0...300, using: &generator)
            let payload =
                isText
                ? ByteBuffer(string: String(repeating: "ß€", count: count / 5))
                : ByteBuffer(bytes: generator.bytes(count))
            var rest = payload
            var opcode: Opcode = isText ? .text : .binary
            while true {
                let length = Int.random(in: 0...rest.readableBytes, using: &generator)
                let part = rest.readSlice(length: length) ?? ByteBuffer()
                let isFinal = rest.readableBytes == 0
                bytes = bytes + FrameEncoder.frame(opcode, part, isFinal: isFinal, mask: randomMask(&generator))
                if isFinal { break }
                opcode = .continuation
                if Int.random(in: 0..<4, using: &generator) == 0 {
                    let ping = ByteBuffer(bytes: generator.bytes(Int.random(in: 0...125, using: &generator)))
                    bytes = bytes + FrameEncoder.frame(.ping, ping, mask: randomMask(&generator))
                    messages.append(.ping(ping))
                }
            }
            messages.append(isText ? .text(payload) : .binary(payload))
        }
        return (bytes, messages)
    }

    private func randomMask(_ generator: inout SeededGenerator) -> MaskingKey {
        let bytes = generator.bytes(4)
        return MaskingKey(bytes[0], bytes[1], bytes[2], bytes[3])
    }
}

/// Decodes a server's input completely in memory, and checks in the order of the bytes, without pieces.
private enum ReferenceDecoder {
    static func violation(_ bytes: [UInt8], maxMessageBytes: Int) -> CloseCode? {
        var at = 0
        var message: (isText: Bool, payload: [UInt8])?
        while at < bytes.count {
            let opcode = bytes[at] & 15
            let isFinal = bytes[at] & 128 != 0
            if bytes[at] & 0x70 != 0 || ![0, 1, 2, 8, 9, 10].contains(opcode) { return .protocolError }
            if opcode >= 8 && !isFinal { return .protocolError }
            guard at + 1 < bytes.count else { return nil }
            let short = Int(bytes[at + 1] & 127)
            if bytes[at + 1] & 128 == 0 || opcode >= 8 && short > 125 { return .protocolError }
            let extra = short == 126 ? 2 : short == 127 ? 8 : 0
            let start = at + 2 + extra + 4
            guard start <= bytes.count else { return nil }
            let length =
                extra == 0 ? UInt64(short) : bytes[(at + 2)..<(at + 2 + extra)].reduce(0) { $0 << 8 | UInt64($1) }
            if extra == 2 && length < 126 || extra == 8 && (length < 65_536 || length >> 63 == 1) {
                return .protocolError
            }
            let mask = Array(bytes[(at + 2 + extra)..<start])
            if opcode < 8 {
                if (opcode == 0) == (message == nil) { return .protocolError }
                if opcode != 0 { message = (opcode == 1, []) }
                if length + UInt64(message?.payload.count ?? 0) > UInt64(maxMessageBytes) { return .messageTooBig }
            }
            let available = min(bytes.count - start, Int(length))
            let payload = (0..<available).map { bytes[start + $0] ^ mask[$0 % 4] }
            let isWhole = available == Int(length)
            if opcode == 8 && isWhole, let code = closeViolation(payload) { return code }
            if opcode < 8 {
                message?.payload += payload
                if let message, message.isText, !isPrefixOfUTF8(message.payload, whole: isWhole && isFinal) {
                    return .invalidPayload
                }
                if isFinal { message = nil }
            }
            guard isWhole else { return nil }
            at = start + available
        }
        return nil
    }

    private static func closeViolation(_ payload: [UInt8]) -> CloseCode? {
        if payload.isEmpty { return nil }
        if payload.count == 1 { return .protocolError }
        let code = Int(payload[0]) << 8 | Int(payload[1])
        let known = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
        if !known.contains(code) && !(3000...4999).contains(code) { return .protocolError }
        return String(validating: payload[2...], as: UTF8.self) == nil ? .invalidPayload : nil
    }

    /// Tries whether an ending of at most three bytes makes it valid.
    private static func isPrefixOfUTF8(_ bytes: [UInt8], whole: Bool) -> Bool {
        let endings: [[UInt8]] = [
            [], [0x80], [0x80, 0x80], [0x80, 0x80, 0x80], [0xA0], [0xA0, 0x80], [0x90, 0x80, 0x80], [0x90, 0x80],
        ]
        return endings.prefix(whole ? 1 : endings.count).contains {
            String(validating: bytes + $0, as: UTF8.self) != nil
        }
    }
}
