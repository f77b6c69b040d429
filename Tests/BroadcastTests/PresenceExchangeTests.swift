import Testing
import WireProtocol

@testable import Broadcast

/// What a server and its relays report to each other about their users.
@Suite struct PresenceExchangeTests {
    private let first = PresenceLink.relay(ClientID(shard: 0, number: 1))
    private let second = PresenceLink.relay(ClientID(shard: 0, number: 2))

    private func user(_ id: String, _ name: String = "ada", text: String? = nil) -> ConnectedUser {
        let cursor = text.map {
            CursorLocation.text(TextPosition(line: 1, column: 1), selection: nil, in: .own($0))
        }
        return ConnectedUser(userID: id, username: name, joinedAt: 1, cursor: cursor)
    }

    @Test func `a neighbour receives all users, then those that change`() {
        var exchange = PresenceExchange()
        exchange.changed("a", to: user("a"))
        exchange.open(first)
        #expect(exchange.take(for: first) == PresenceReport(users: [user("a")]))
        #expect(exchange.take(for: first) == nil)
        exchange.changed("a", to: user("a", "eve"))
        exchange.changed("a", to: user("a", "bob"))
        #expect(exchange.take(for: first) == PresenceReport(users: [user("a", "bob")]))
        exchange.changed("a", to: nil)
        #expect(exchange.take(for: first) == PresenceReport(left: ["a"]))
        #expect(!exchange.hasChanges)
    }

    @Test func `a user that came and left between two reports is not reported`() {
        var exchange = PresenceExchange()
        exchange.open(first)
        exchange.changed("a", to: user("a"))
        exchange.changed("a", to: nil)
        #expect(exchange.take(for: first) == nil)
    }

    @Test func `a report goes to the other neighbours, and not back`() {
        var exchange = PresenceExchange()
        for link in [first, second, .source] { exchange.open(link) }
        #expect(exchange.received(PresenceReport(users: [user("a")]), from: first) == ["a"])
        #expect(exchange.remoteUser("a") == user("a"))
        #expect(exchange.take(for: first) == nil)
        #expect(exchange.take(for: second) == PresenceReport(users: [user("a")]))
        #expect(exchange.take(for: .source) == PresenceReport(users: [user("a")]))
    }

    @Test func `the users of a relay that has disconnected leave`() {
        var exchange = PresenceExchange()
        for link in [first, second] { exchange.open(link) }
        _ = exchange.received(PresenceReport(users: [user("a"), user("b")]), from: first)
        _ = exchange.take(for: second)
        #expect(exchange.close(first).sorted() == ["a", "b"])
        #expect(exchange.remoteUser("a") == nil)
        #expect(exchange.take(for: second)?.left.sorted() == ["a", "b"])
    }

    @Test func `a user that is reported twice stays when one report ends`() {
        var exchange = PresenceExchange()
        exchange.open(second)
        _ = exchange.received(PresenceReport(users: [user("a")]), from: first)
        // The relay connects again before its previous connection has ended.
        _ = exchange.received(PresenceReport(users: [user("a", "eve")]), from: second)
        #expect(exchange.remoteUser("a") == user("a", "eve"))
        _ = exchange.close(first)
        #expect(exchange.remoteUser("a") == user("a", "eve"))
        #expect(exchange.received(PresenceReport(left: ["a"]), from: first) == [])
        #expect(exchange.received(PresenceReport(left: ["a"]), from: second) == ["a"])
        #expect(exchange.remoteUser("a") == nil)
    }

    @Test func `a client of this process is no user of another one`() {
        var exchange = PresenceExchange()
        exchange.changed("a", to: user("a"))
        _ = exchange.received(PresenceReport(users: [user("a", "eve")]), from: .source)
        #expect(exchange.remoteUser("a") == nil)
    }

    @Test func `users and texts of others are bounded`() {
        var exchange = PresenceExchange(maxUsers: 2, maxTextBytes: 4)
        let report = PresenceReport(users: [user("a", text: "four"), user("b", text: "x"), user("c")])
        #expect(exchange.received(report, from: first) == ["a", "b"])
        #expect(exchange.remoteUser("a") == user("a", text: "four"))
        #expect(exchange.remoteUser("b")?.cursor?.textByteCount == 0)
        _ = exchange.received(PresenceReport(left: ["a"]), from: first)
        _ = exchange.received(PresenceReport(users: [user("b", text: "x")]), from: first)
        #expect(exchange.remoteUser("b") == user("b", text: "x"))
    }

    @Test func `a report has a limit, and the rest follows`() {
        var exchange = PresenceExchange()
        let text = String(repeating: "t", count: 16_000)
        for number in 0..<40 { exchange.changed("\(number)", to: user("\(number)", text: text)) }
        exchange.open(first)
        let count = exchange.take(for: first)?.users.count ?? 0
        #expect((1..<40).contains(count))
        #expect(exchange.hasChanges)
        var rest = 0
        while let report = exchange.take(for: first) { rest += report.users.count }
        #expect(count + rest == 40)
    }
}
