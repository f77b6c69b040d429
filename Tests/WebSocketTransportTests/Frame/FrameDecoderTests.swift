import NIOCore
import Testing
import WireProtocol

@testable import WebSocketTransport

@Suite struct FrameDecoderTests {
    @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
    func `a frame of every length form is read as it was written`(count: Int) throws {
        let payload = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0) })
        var reader = MessageReader()
        #expect(try reader.read(clientFrame(.binary, payload)) == [.binary(payload)])
    }

    @Test func `the example of the RFC is read`() throws {
        var reader = MessageReader()
        let masked: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        #expect(try reader.read(ByteBuffer(bytes: masked)) == [.text(ByteBuffer(string: "Hello"))])
        var client = MessageReader(role: .client)
        let plain: [UInt8] = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]
        #expect(try client.read(ByteBuffer(bytes: plain)) == [.text(ByteBuffer(string: "Hello"))])
    }

    /// Only headers: a violation is detected without the payload.
    @Test(
        arguments: [
            ("no mask", [0x81, 0x05]), ("RSV1", [0xC1, 0x80]), ("RSV2", [0xA1, 0x80]), ("RSV3", [0x91, 0x80]),
            ("opcode 3", [0x83, 0x80]), ("opcode 7", [0x87, 0x80]), ("opcode 11", [0x8B, 0x80]),
            ("opcode 15", [0x8F, 0x80]),
            ("fragmented ping", [0x09, 0x80]), ("fragmented close", [0x08, 0x80]),
            ("long ping", [0x89, 0xFE, 0x00, 0x7E]),
            ("length 125 in two bytes", [0x82, 0xFE, 0, 125, 1, 2, 3, 4]),
            ("length 65535 in eight bytes", [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4]),
            ("negative length", [0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]),
            ("continuation of nothing", [0x80, 0x80, 1, 2, 3, 4]),
        ] as [(String, [UInt8])]
    )
    func `a forbidden header is a protocol error`(name: String, header: [UInt8]) {
        #expect(MessageReader.violation(ByteBuffer(bytes: header)) == .protocolError, "\(name)")
    }

    @Test func `a client refuses a masked frame`() {
        var reader = MessageReader(role: .client)
        #expect(throws: ProtocolViolation.self) { try reader.read(clientFrame(.text, "x")) }
    }

    @Test func `the compression bit is accepted only on data and only when agreed on`() throws {
        #expect(
            MessageReader.violation(clientFrame(.ping, "", isCompressed: true), isCompressed: true) == .protocolError
        )
        let fragments = clientFrame(.text, "", isFinal: false) + clientFrame(.continuation, "", isCompressed: true)
        #expect(MessageReader.violation(fragments, isCompressed: true) == .protocolError)
        #expect(MessageReader.violation(clientFrame(.text, "\0", isCompressed: true), isCompressed: true) == nil)
    }
}
