import NIOCore
import Testing
import WireProtocol

@testable import WebSocketTransport

@Suite struct MessageAssemblerTests {
    @Test func `fragments are joined and control frames between them come first`() throws {
        var reader = MessageReader()
        let bytes =
            clientFrame(.text, "a", isFinal: false) + clientFrame(.ping, "p")
            + clientFrame(.continuation, "", isFinal: false)
            + clientFrame(.pong, "q") + clientFrame(.continuation, "b") + clientFrame(.text, "c")
        #expect(
            try reader.read(bytes) == [
                .ping(ByteBuffer(string: "p")), .pong(ByteBuffer(string: "q")), .text(ByteBuffer(string: "ab")),
                .text(ByteBuffer(string: "c")),
            ]
        )
    }

    @Test func `a new message inside a fragmented one is a protocol error`() {
        let bytes = clientFrame(.text, "a", isFinal: false) + clientFrame(.text, "b")
        #expect(MessageReader.violation(bytes) == .protocolError)
    }

    @Test func `a message over the limit is refused at its header`() {
        let header = clientFrame(.text, String(repeating: "x", count: 101)).getSlice(at: 0, length: 8) ?? ByteBuffer()
        #expect(MessageReader.violation(header, maxMessageBytes: 100) == .messageTooBig)
        #expect(
            MessageReader.violation(clientFrame(.text, String(repeating: "x", count: 100)), maxMessageBytes: 100) == nil
        )
    }

    @Test func `fragments count together towards the limit`() {
        let part = String(repeating: "x", count: 60)
        let bytes = clientFrame(.text, part, isFinal: false) + clientFrame(.continuation, part)
        #expect(MessageReader.violation(bytes, maxMessageBytes: 119) == .messageTooBig)
        #expect(MessageReader.violation(bytes, maxMessageBytes: 120) == nil)
    }

    @Test func `an announced length that no machine has is too big, not a crash`() {
        let header: [UInt8] = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4]
        #expect(MessageReader.violation(ByteBuffer(bytes: header)) == .messageTooBig)
    }

    @Test func `binary is refused unless it is accepted`() {
        #expect(MessageReader.violation(clientFrame(.binary, "x"), acceptsBinary: false) == .unacceptableData)
    }

    @Test func `a character may be cut between fragments, but not at the end`() throws {
        let euro = Array("€".utf8)
        func part(_ opcode: Opcode, _ bytes: ArraySlice<UInt8>, _ isFinal: Bool) -> ByteBuffer {
            clientFrame(opcode, ByteBuffer(bytes: bytes), isFinal: isFinal)
        }
        var reader = MessageReader()
        let cut = part(.text, euro[..<1], false) + part(.continuation, euro[1..<2], false)
        #expect(try reader.read(cut + part(.continuation, euro[2...], true)) == [.text(ByteBuffer(string: "€"))])
        #expect(MessageReader.violation(cut + part(.continuation, [], true)) == .invalidPayload)
    }

    @Test func `bad UTF-8 ends the connection before the rest of the message comes`() {
        let frame = clientFrame(.text, ByteBuffer(bytes: [0x41, 0xC0, 0x80] + [UInt8](repeating: 0x41, count: 100)))
        let begin = frame.getSlice(at: 0, length: 10) ?? ByteBuffer()
        #expect(MessageReader.violation(begin) == .invalidPayload)
    }

    @Test func `a compressed message is limited by what it expands to`() throws {
        let bomb = try #require(Deflater()?.deflate(ByteBuffer(repeating: 0x61, count: 10_000_000)))
        #expect(bomb.readableBytes < 50_000)
        let frame = clientFrame(.text, bomb, isCompressed: true)
        var reader = MessageReader(maxMessageBytes: 1_000_000, isCompressed: true)
        let violation = #expect(throws: ProtocolViolation.self) { try reader.read(frame) }
        #expect(violation?.code == .messageTooBig)
        var large = MessageReader(maxMessageBytes: 10_000_000, isCompressed: true)
        #expect(try large.read(frame) == [.text(ByteBuffer(repeating: 0x61, count: 10_000_000))])
    }

    @Test func `compressed messages may come in fragments, cut anywhere`() throws {
        let text = String(repeating: "größer als gedacht; ", count: 100)
        let compressed = try #require(Deflater(windowBits: 9)?.deflate(ByteBuffer(string: text)))
        for cut in 0...compressed.readableBytes {
            let head = compressed.getSlice(at: 0, length: cut) ?? ByteBuffer()
            let tail = compressed.getSlice(at: cut, length: compressed.readableBytes - cut) ?? ByteBuffer()
            var reader = MessageReader(isCompressed: true)
            let bytes =
                clientFrame(.text, head, isFinal: false, isCompressed: true) + clientFrame(.ping, "")
                + clientFrame(.continuation, tail)
            #expect(try reader.read(bytes) == [.ping(ByteBuffer()), .text(ByteBuffer(string: text))])
        }
    }

    @Test func `data that does not decompress is refused`() {
        let frame = clientFrame(.text, ByteBuffer(bytes: [0xFF, 0xFF, 0xFF]), isCompressed: true)
        #expect(MessageReader.violation(frame, isCompressed: true) == .invalidPayload)
    }

    @Test func `a block that ends the stream does not end the message`() throws {
        // "Hello" with BFINAL set, as in RFC 7692 section 7.2.3.4.
        let payload: [UInt8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]
        var reader = MessageReader(isCompressed: true)
        let frame = clientFrame(.text, ByteBuffer(bytes: payload), isCompressed: true)
        #expect(
            try reader.read(frame + frame) == [.text(ByteBuffer(string: "Hello")), .text(ByteBuffer(string: "Hello"))]
        )
    }
}
