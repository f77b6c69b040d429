import NIOCore
import Testing
import WireProtocol

@testable import WebSocketTransport

@Suite struct CloseFrameTests {
    @Test(arguments: [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4413, 4999] as [UInt16])
    func `a code that may be sent is read with its reason`(code: UInt16) throws {
        var payload = ByteBuffer(integer: code)
        payload.writeString("weil")
        #expect(try CloseFrame(payload: payload) == CloseFrame(code: code, reason: "weil"))
    }

    @Test(arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] as [UInt16])
    func `a reserved code is a protocol error`(code: UInt16) {
        let violation = #expect(throws: ProtocolViolation.self) { try CloseFrame(payload: ByteBuffer(integer: code)) }
        #expect(violation?.code == .protocolError)
    }

    @Test func `one byte is no code and a reason must be UTF-8`() {
        #expect(MessageReader.violation(clientFrame(.close, ByteBuffer(bytes: [3]))) == .protocolError)
        #expect(MessageReader.violation(clientFrame(.close, ByteBuffer(bytes: [3, 0xE8, 0xC3]))) == .invalidPayload)
    }

    @Test func `a long reason is cut at a character so that the frame is allowed`() throws {
        let payload = CloseFrame(.normal, reason: String(repeating: "€", count: 60)).payload
        #expect(payload.readableBytes == 2 + 41 * 3)
        #expect(try CloseFrame(payload: payload).reason == String(repeating: "€", count: 41))
    }
}
