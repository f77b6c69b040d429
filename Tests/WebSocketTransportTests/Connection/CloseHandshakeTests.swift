import NIOCore
import Testing
import WireProtocol

@testable import WebSocketTransport

@Suite struct CloseHandshakeTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000)
    private var closing = CloseHandshake(closeTimeout: .seconds(5), lingerTimeout: .seconds(2))

    @Test mutating func `the server's close waits for the answer, then for the end`() {
        #expect(closing.close(.goingAway, reason: "bye", now: start) == .send(CloseFrame(.goingAway, reason: "bye")))
        #expect(!closing.isOpen && closing.isReading)
        #expect(closing.received(CloseFrame(.goingAway), now: start) == .finish)
        #expect(!closing.isReading)
        #expect(closing.ended() == CloseStatus(initiator: .local, code: 1001, reason: "bye"))
    }

    @Test mutating func `the peer's close is answered with its code`() {
        #expect(
            closing.received(CloseFrame(code: 4000, reason: "x"), now: start) == .sendAndFinish(CloseFrame(code: 4000))
        )
        #expect(closing.ended() == CloseStatus(initiator: .peer, code: 4000, reason: "x"))
    }

    @Test mutating func `an empty close is answered with an empty close and reported as 1005`() {
        #expect(closing.received(CloseFrame(code: nil), now: start) == .sendAndFinish(CloseFrame(code: nil)))
        #expect(closing.ended().code == 1005)
    }

    @Test mutating func `a violation is answered with its code and nothing is read after it`() {
        let violation = ProtocolViolation(.messageTooBig, "too big")
        #expect(closing.fail(violation, now: start) == .sendAndFinish(CloseFrame(.messageTooBig, reason: "too big")))
        #expect(!closing.isReading)
        #expect(closing.ended() == CloseStatus(initiator: .local, code: 1009, reason: "too big"))
    }

    @Test mutating func `an end without a close frame is 1006`() {
        #expect(closing.ended() == CloseStatus(initiator: .lost, code: 1006))
    }

    @Test mutating func `a peer that does not answer is cut off after the close timeout`() {
        _ = closing.close(.normal, reason: "", now: start)
        #expect(closing.tick(now: start + .milliseconds(4_999)) == nil)
        #expect(closing.tick(now: start + .seconds(5)) == .abort)
        #expect(closing.tick(now: start + .seconds(9)) == nil)
    }

    @Test mutating func `a peer that answers and does not leave is cut off after the linger timeout`() {
        _ = closing.close(.normal, reason: "", now: start)
        _ = closing.received(CloseFrame(.normal), now: start + .seconds(4))
        #expect(closing.tick(now: start + .milliseconds(5_999)) == nil)
        #expect(closing.tick(now: start + .seconds(6)) == .abort)
    }

    @Test mutating func `an urgent close does not wait for an answer`() {
        let action = closing.close(.tooSlow, reason: "", isUrgent: true, now: start)
        #expect(action == .sendAndFinish(CloseFrame(.tooSlow)))
        #expect(closing.tick(now: start + .seconds(2)) == .abort)
    }

    @Test mutating func `what happens second changes nothing`() {
        _ = closing.close(.goingAway, reason: "", now: start)
        #expect(closing.close(.normal, reason: "", now: start) == nil)
        #expect(closing.fail(.notUTF8, now: start) == .finish)
        #expect(closing.received(CloseFrame(.normal), now: start) == nil)
        #expect(closing.ended().code == 1001)
    }
}
