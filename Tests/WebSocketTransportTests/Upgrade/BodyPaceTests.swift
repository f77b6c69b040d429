import NIOCore
import Testing

@testable import WebSocketTransport

@Suite struct BodyPaceTests {
    private let start = NIODeadline.uptimeNanoseconds(0)
    private var pace = BodyPace(patience: .seconds(20))

    @Test mutating func `no time runs while nothing waits`() {
        #expect(pace.deadline == nil)
        pace.wait(now: start)
        pace.received(byteCount: 1, now: start + .seconds(5))
        #expect(pace.deadline == nil)
        pace.wait(now: start + .hours(1))
        #expect(pace.deadline == start + .hours(1) + .seconds(15) + .milliseconds(2))
    }

    @Test mutating func `a byte a second runs out of time`() throws {
        var now = start
        while true {
            pace.wait(now: now)
            now = now + .seconds(1)
            if try #require(pace.deadline) <= now { break }
            pace.received(byteCount: 1, now: now)
        }
        #expect(now - start == .seconds(21))
    }

    @Test mutating func `500 bytes a second may go on for ever, but not save up time`() throws {
        var now = start
        for _ in 0..<1_000 {
            pace.wait(now: now)
            now = now + .seconds(1)
            #expect(try #require(pace.deadline) > now)
            pace.received(byteCount: 500, now: now)
        }
        pace.received(byteCount: .max, now: now)
        pace.wait(now: now)
        #expect(pace.deadline == now + .seconds(20))
    }

    @Test mutating func `waiting again does not restart the time`() {
        pace.wait(now: start)
        pace.wait(now: start + .seconds(10))
        #expect(pace.deadline == start + .seconds(20))
    }
}
