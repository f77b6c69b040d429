import TablecastClient
import Testing
import WireProtocol

struct FeedPositionTests {
    @Test func `waits double up to a limit, and are spread`() {
        let maxWait = Duration.seconds(15)
        var backoff = Backoff(maxWait: maxWait)
        let waits = (0..<100).map { _ in backoff.next(spread: 1) }
        #expect(waits.prefix(3) == [.milliseconds(250), .milliseconds(500), .seconds(1)])
        #expect(waits.allSatisfy { $0 <= maxWait })
        let shortest = backoff.next(spread: 0)
        #expect(shortest == maxWait * 0.5)
        backoff.reset()
        let first = backoff.next(spread: 0)
        #expect(first == .milliseconds(125))
    }

    @Test func `a feed resumes after the last whole transaction`() throws {
        var feed = FeedPosition()
        feed.subscribed(at: try position("e:4"), recovered: nil)
        #expect(feed.complete?.description == "e:4")
        #expect(try news(&feed, [("e:5", false)]) == [true])
        #expect(feed.complete?.description == "e:4")
        #expect(try news(&feed, [("e:5", true)]) == [true])
        #expect(feed.complete?.description == "e:5")
    }

    @Test func `what was seen of a broken transaction is not delivered twice`() throws {
        var feed = FeedPosition(since: try position("e:4"))
        feed.subscribed(at: try position("e:9"), recovered: true)
        #expect(feed.complete?.description == "e:4")
        #expect(try news(&feed, [("e:5", false), ("e:5", false)]) == [true, true])
        feed.subscribed(at: try position("e:9"), recovered: true)
        #expect(try news(&feed, [("e:5", false)]) == [false])
        // The connection is lost again, earlier than before.
        feed.subscribed(at: try position("e:9"), recovered: true)
        #expect(try news(&feed, [("e:5", false), ("e:5", false), ("e:5", true)]) == [false, false, true])
        #expect(try news(&feed, [("e:6", true)]) == [true])
    }

    @Test func `a transaction that was interrupted by a restart of the server goes on`() throws {
        var feed = FeedPosition(since: try position("name-one:4"))
        #expect(try news(&feed, [("name-one:5", false)]) == [true])
        feed.subscribed(at: try position("name-two:4"), recovered: true)
        #expect(try news(&feed, [("name-two:5", false), ("name-two:5", true)]) == [false, true])
        #expect(feed.complete?.description == "name-two:5")
    }

    @Test func `when nothing could be recovered the feed starts again`() throws {
        var feed = FeedPosition(since: try position("old:4"))
        _ = try news(&feed, [("old:5", false)])
        feed.subscribed(at: try position("new:0"), recovered: false)
        #expect(feed.complete?.description == "new:0")
        #expect(try news(&feed, [("new:1", true)]) == [true])
        #expect(feed.complete?.description == "new:1")
    }

    private func news(_ feed: inout FeedPosition, _ messages: [(position: String, isLast: Bool)]) throws -> [Bool] {
        try messages.map { feed.received(try position($0.position), isLast: $0.isLast) }
    }

    private func position(_ text: String) throws(ProtocolError) -> Position { try Position(parsing: text) }
}
