import Testing

@testable import TablecastCommand

struct ListenerTests {
    @Test func `waits double up to a limit, and are spread`() {
        var backoff = Backoff()
        let waits = (0..<100).map { _ in backoff.next(spread: 1) }
        #expect(waits.prefix(3) == [.milliseconds(250), .milliseconds(500), .seconds(1)])
        #expect(waits.allSatisfy { $0 <= Backoff.maxWait })
        let shortest = backoff.next(spread: 0)
        #expect(shortest == Backoff.maxWait * 0.5)
        backoff.reset()
        let first = backoff.next(spread: 0)
        #expect(first == .milliseconds(125))
    }

    @Test func `a listener resumes after the last whole transaction`() {
        var feed = FeedPosition()
        feed.subscribed(at: "e:4", recovered: nil)
        #expect(feed.complete == "e:4")
        #expect(news(&feed, [("e:5", false)]) == [true])
        #expect(feed.complete == "e:4")
        #expect(news(&feed, [("e:5", true)]) == [true])
        #expect(feed.complete == "e:5")
    }

    @Test func `what was seen of a broken transaction is not shown twice`() {
        var feed = FeedPosition(since: "e:4")
        feed.subscribed(at: "e:9", recovered: true)
        #expect(feed.complete == "e:4")
        #expect(news(&feed, [("e:5", false), ("e:5", false)]) == [true, true])
        feed.subscribed(at: "e:9", recovered: true)
        #expect(news(&feed, [("e:5", false)]) == [false])
        // The connection is lost again, earlier than before.
        feed.subscribed(at: "e:9", recovered: true)
        #expect(news(&feed, [("e:5", false), ("e:5", false), ("e:5", true)]) == [false, false, true])
        #expect(news(&feed, [("e:6", true)]) == [true])
    }

    @Test func `when nothing could be recovered the feed starts again`() {
        var feed = FeedPosition(since: "old:4")
        _ = news(&feed, [("old:5", false)])
        feed.subscribed(at: "new:0", recovered: false)
        #expect(feed.complete == "new:0")
        #expect(news(&feed, [("new:1", true)]) == [true])
        #expect(feed.complete == "new:1")
    }

    private func news(_ feed: inout FeedPosition, _ messages: [(position: String, isLast: Bool)]) -> [Bool] {
        messages.map { feed.received($0.position, isLast: $0.isLast) }
    }
}
