import NIOCore
import Testing
import WireProtocol

@testable import Broadcast

@Suite struct PresenceTests {
    private let ada = Presence.Member.client(ClientID(shard: 0, number: 1))
    private let bob = Presence.Member.client(ClientID(shard: 0, number: 2))

    private func cursor(_ line: Int) -> CursorLocation { .text(TextPosition(line: line, column: 0), selection: nil) }

    private func at(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .milliseconds(milliseconds) }

    private func moved(_ client: Presence.Member, _ name: String, _ line: Int) -> Presence.Action {
        .announce(
            .userCursor(UserCursorPayload(userID: name, username: name, location: cursor(line))),
            except: client.clientID
        )
    }

    private func expect(
        _ actions: [Presence.Action],
        _ expected: [Presence.Action],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(actions == expected, sourceLocation: sourceLocation)
    }

    private func withBoth() -> Presence {
        var presence = Presence()
        _ = presence.join(ada, userID: "ada", username: "ada", timestamp: 1)
        _ = presence.join(bob, userID: "bob", username: "bob", timestamp: 2)
        return presence
    }

    @Test func `joining and leaving is announced with the number of present users`() {
        var presence = Presence()
        let joined = presence.join(ada, userID: "u", username: "ada", timestamp: 1)
        #expect(
            joined == [
                .announce(
                    .userJoined(UserPresencePayload(userID: "u", username: "ada", connectedUsers: 1)),
                    except: nil
                )
            ]
        )
        let left = presence.leave(ada)
        #expect(
            left == [
                .announce(.userLeft(UserPresencePayload(userID: "u", username: "ada", connectedUsers: 0)), except: nil)
            ]
        )
        expect(presence.leave(ada), [])
    }

    @Test func `a new name is a leaving and a joining, the same name is nothing`() {
        var presence = withBoth()
        expect(presence.identify(ada, username: "ada"), [])
        expect(
            presence.join(ada, userID: "ada", username: "lovelace", timestamp: 9),
            [
                .announce(
                    .userLeft(UserPresencePayload(userID: "ada", username: "ada", connectedUsers: 1)),
                    except: nil
                ),
                .announce(
                    .userJoined(UserPresencePayload(userID: "ada", username: "lovelace", connectedUsers: 2)),
                    except: nil
                ),
            ]
        )
    }

    @Test func `the list is in the order of arrival, with cursors`() {
        var presence = withBoth()
        _ = presence.moveCursor(bob, to: cursor(3), now: at(0))
        #expect(
            presence.list.users == [
                ConnectedUser(userID: "ada", username: "ada", joinedAt: 1),
                ConnectedUser(userID: "bob", username: "bob", joinedAt: 2, cursor: cursor(3)),
            ]
        )
    }

    @Test func `a cursor goes out at once, but not to its sender`() {
        var presence = withBoth()
        expect(presence.moveCursor(ada, to: cursor(1), now: at(0)), [moved(ada, "ada", 1)])
        expect(presence.moveCursor(bob, to: cursor(1), now: at(1)), [moved(bob, "bob", 1)])
        expect(presence.moveCursor(.client(ClientID(shard: 0, number: 3)), to: cursor(1), now: at(1)), [])
    }

    @Test func `of cursors that follow too fast the newest goes out in its time`() {
        var presence = withBoth()
        _ = presence.moveCursor(ada, to: cursor(1), now: at(0))
        expect(presence.moveCursor(ada, to: cursor(2), now: at(10)), [.sendCursorsLater(at: at(50))])
        expect(presence.moveCursor(ada, to: cursor(3), now: at(20)), [])
        expect(presence.sendCursors(now: at(50)), [moved(ada, "ada", 3)])
        expect(presence.sendCursors(now: at(60)), [])
        expect(presence.moveCursor(ada, to: cursor(4), now: at(100)), [moved(ada, "ada", 4)])
    }

    @Test func `each user has a pace of its own`() {
        var presence = withBoth()
        _ = presence.moveCursor(ada, to: cursor(1), now: at(0))
        _ = presence.moveCursor(bob, to: cursor(1), now: at(30))
        expect(presence.moveCursor(ada, to: cursor(2), now: at(40)), [.sendCursorsLater(at: at(50))])
        expect(presence.moveCursor(bob, to: cursor(2), now: at(40)), [])
        expect(presence.sendCursors(now: at(50)), [moved(ada, "ada", 2), .sendCursorsLater(at: at(80))])
        expect(presence.sendCursors(now: at(80)), [moved(bob, "bob", 2)])
    }

    @Test func `the cursor of a user who left is not sent`() {
        var presence = withBoth()
        _ = presence.moveCursor(ada, to: cursor(1), now: at(0))
        _ = presence.moveCursor(ada, to: cursor(2), now: at(10))
        _ = presence.leave(ada)
        expect(presence.sendCursors(now: at(50)), [])
    }

    @Test func `no more than twenty cursors a second of a user go out`() {
        var presence = withBoth()
        var sent = 0
        var wake: NIODeadline?
        for millisecond in Int64(0)..<1000 {
            var actions: [Presence.Action] = []
            if let due = wake, at(millisecond) >= due {
                wake = nil
                actions += presence.sendCursors(now: at(millisecond))
            }
            actions += presence.moveCursor(ada, to: cursor(Int(millisecond)), now: at(millisecond))
            for action in actions {
                switch action {
                case .announce: sent += 1
                case .sendCursorsLater(let time): wake = time
                }
            }
        }
        #expect(sent == 20)
    }

    @Test func `a cursor brings the text that it is in`() {
        var presence = withBoth()
        let typed = CursorLocation.text(TextPosition(line: 0, column: 8), selection: nil, in: .own("SELECT 1"))
        let payload = UserCursorPayload(userID: "ada", username: "ada", location: typed)
        expect(presence.moveCursor(ada, to: typed, now: at(0)), [.announce(.userCursor(payload), except: ada.clientID)])
        #expect(presence.list.users.first?.cursor == typed)
    }

    @Test func `texts that pass the limit together are left out, and there is room again when one leaves`() {
        func typed(_ text: String) -> CursorLocation {
            .text(TextPosition(line: 0, column: 0), selection: nil, in: .own(text))
        }
        var presence = Presence(maxTextBytes: 10)
        _ = presence.join(ada, userID: "ada", username: "ada", timestamp: 1)
        _ = presence.join(bob, userID: "bob", username: "bob", timestamp: 2)
        _ = presence.moveCursor(ada, to: typed("123456"), now: at(0))
        _ = presence.moveCursor(ada, to: typed("12345678"), now: at(100))
        _ = presence.moveCursor(bob, to: typed("abc"), now: at(200))
        #expect(presence.list.users.map(\.cursor) == [typed("12345678"), cursor(0)])
        _ = presence.moveCursor(bob, to: typed("ab"), now: at(300))
        #expect(presence.list.users.map(\.cursor) == [typed("12345678"), typed("ab")])
        _ = presence.leave(ada)
        _ = presence.moveCursor(bob, to: typed("abcdefghij"), now: at(400))
        #expect(presence.list.users.map(\.cursor) == [typed("abcdefghij")])
    }

    @Test func `the list is bounded`() {
        var presence = Presence(maxUsers: 1)
        _ = presence.join(ada, userID: "a", username: "a", timestamp: 1)
        expect(presence.join(bob, userID: "b", username: "b", timestamp: 1), [])
        #expect(presence.count == 1)
    }
}

@Suite struct RateLimitTests {
    private func at(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .milliseconds(milliseconds) }

    @Test func `a burst passes, then the rate`() {
        var limit = RateLimit(perSecond: 10, burst: 3, now: at(0))
        let taken = [0, 0, 0, 0, 0, 99, 101, 101].map { limit.take(now: at($0)) }
        #expect(taken == [true, true, true, false, false, false, true, false])
    }

    @Test func `a pause does not save up more than a burst`() {
        var limit = RateLimit(perSecond: 10, burst: 2, now: at(0))
        let taken = (0..<4).map { _ in limit.take(now: at(3_600_000)) }
        #expect(taken == [true, true, false, false])
    }

    @Test func `a clock that goes back gives nothing away`() {
        var limit = RateLimit(perSecond: 10, burst: 1, now: at(1000))
        let taken = [1000, 0, 1050, 1100].map { limit.take(now: at($0)) }
        #expect(taken == [true, false, false, true])
    }
}
