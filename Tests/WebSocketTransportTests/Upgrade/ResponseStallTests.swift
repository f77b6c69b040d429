import NIOCore
import Testing

@testable import WebSocketTransport

@Suite struct ResponseStallTests {
    private let start = NIODeadline.uptimeNanoseconds(0)
    private var stall = ResponseStall(patience: .seconds(30))

    /// Whether each check, a number of waiting bytes per second, detected the stall.
    private mutating func looks(_ looks: [(waiting: Int, second: Int)]) -> [Bool] {
        looks.map { stall.isOver(waitingBytes: $0.waiting, now: start + .seconds(Int64($0.second))) }
    }

    @Test mutating func `the same bytes waiting for the whole time are the end`() {
        #expect(looks([(70_000, 0), (70_000, 29), (70_000, 30)]) == [false, false, true])
    }

    @Test mutating func `a client that takes a little in time stays connected`() {
        let isOver = looks((0..<100).map { (1_000_000 - $0, 29 * $0) })
        #expect(!isOver.contains(true))
    }

    @Test mutating func `nothing waiting is no stall`() {
        #expect(looks([(0, 0), (0, 3_600), (1, 7_200), (1, 7_201)]) == [false, false, false, false])
    }
}
