import NIOCore
import Testing

@testable import WebSocketTransport

@Suite struct HeartbeatTests {
    private let start = NIODeadline.uptimeNanoseconds(0)
    private var heartbeat = Heartbeat(interval: .seconds(30), now: .uptimeNanoseconds(0))

    @Test mutating func `it pings once in each interval`() {
        var pings = 0
        for second in 0...300 {
            if heartbeat.tick(now: start + .seconds(Int64(second))) == .ping { pings += 1 }
            heartbeat.noteActivity()
        }
        #expect(pings == 10)
    }

    @Test mutating func `two intervals of silence after a ping end it`() {
        #expect(heartbeat.tick(now: start + .seconds(30)) == .ping)
        #expect(heartbeat.tick(now: start + .seconds(60)) == .ping)
        #expect(heartbeat.tick(now: start + .seconds(89)) == nil)
        #expect(heartbeat.tick(now: start + .seconds(90)) == .timeOut)
    }

    @Test mutating func `any received byte restarts the count`() {
        #expect(heartbeat.tick(now: start + .seconds(30)) == .ping)
        #expect(heartbeat.tick(now: start + .seconds(60)) == .ping)
        heartbeat.noteActivity()
        #expect(heartbeat.tick(now: start + .seconds(90)) == .ping)
        #expect(heartbeat.tick(now: start + .seconds(120)) == .ping)
        #expect(heartbeat.tick(now: start + .seconds(150)) == .timeOut)
    }
}
