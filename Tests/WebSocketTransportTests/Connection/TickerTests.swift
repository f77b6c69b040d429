import NIOCore
import NIOEmbedded
import Testing

@testable import WebSocketTransport

@Suite struct TickerTests {
    private final class Member: Ticker.Member {
        var tickerIndex = -1
        var ticks = 0
        var action: (() -> Void)?

        func tick(now: NIODeadline) {
            ticks += 1
            action?()
        }
    }

    private let loop = EmbeddedEventLoop()

    @Test func `each member has one tick in each period, and none after it left`() {
        let ticker = Ticker(eventLoop: loop, period: .seconds(1))
        let members = (0..<5).map { _ in Member() }
        for member in members { ticker.add(member) }
        loop.advanceTime(by: .seconds(3))
        #expect(members.map(\.ticks) == [3, 3, 3, 3, 3])
        ticker.remove(members[1])
        ticker.remove(members[1])
        loop.advanceTime(by: .seconds(1))
        #expect(members.map(\.ticks) == [4, 3, 4, 4, 4])
    }

    @Test func `members may leave in their own tick, all of them`() {
        let ticker = Ticker(eventLoop: loop, period: .seconds(1))
        let members = (0..<50).map { _ in Member() }
        for member in members {
            ticker.add(member)
            member.action = { ticker.remove(member) }
        }
        loop.advanceTime(by: .seconds(5))
        #expect(members.allSatisfy { $0.ticks == 1 })
    }

    @Test func `a ticker without members does nothing, and starts again with the next`() {
        let ticker = Ticker(eventLoop: loop, period: .seconds(1))
        let first = Member()
        ticker.add(first)
        ticker.remove(first)
        loop.advanceTime(by: .seconds(10))
        let second = Member()
        ticker.add(second)
        loop.advanceTime(by: .seconds(2))
        #expect(first.ticks == 0 && second.ticks == 2)
    }
}
