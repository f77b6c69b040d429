import Broadcast
import NIOCore
import Synchronization
import Testing
import WireProtocol

@Suite struct ResumeTests {
    private static func texts(_ range: ClosedRange<Int>, _ level: String = "none") -> [String] {
        range.map { "e:\($0) t \(level)" }
    }

    @Test func `what was committed since is replayed between acknowledgement and live`() {
        let test = TestHub()
        let (client, connection) = test.connect()
        for _ in 0..<3 { test.publish("t") }
        test.subscribeToTables(client, since: 1)
        test.publish("t")
        test.run()
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:1 true"] + Self.texts(2...5))
    }

    @Test(arguments: [("e", 3), ("e", 0), ("old", 2)] as [(String, UInt64)])
    func `a position in the future, too old or of another epoch is not recovered`(epoch: String, since: UInt64) {
        var limits = HubLimits()
        limits.history.maxTransactions = 1
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        for _ in 0..<2 { test.publish("t") }
        test.subscribeToTables(client, since: since, epoch: epoch)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:2 false", "e:3 t none"])
    }

    @Test func `what is too old is not replayed, even if nothing was published since`() {
        var limits = HubLimits()
        limits.history.maxAge = .seconds(60)
        let now = Mutex(NIODeadline.uptimeNanoseconds(0))
        let test = TestHub(limits: limits) { now.withLock { $0 } }
        let (client, connection) = test.connect()
        for _ in 0..<2 { test.publish("t") }
        now.withLock { $0 = $0 + .seconds(59) }
        test.subscribeToTables(client, since: 1)
        test.run()
        now.withLock { $0 = $0 + .seconds(2) }
        test.subscribeToTables(client, since: 1)
        test.run()
        #expect(connection.take() == ["subscribed tables e:1 true", "e:2 t none", "subscribed tables e:2 false"])
    }

    @Test func `a client that is up to date is recovered with nothing`() {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.publish("t")
        test.subscribeToTables(client, since: 1)
        test.run()
        #expect(connection.take() == ["subscribed tables e:1 true"])
    }

    @Test func `a second subscription replaces the first between two transactions`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.subscribeToTables(client)
        test.publish("t")
        test.subscribeToTables(client, try TableFilter(rowLevel: .keys), replacing: .everything)
        test.publish("t")
        test.run()
        test.subscribeToTables(client, since: 1, replacing: try TableFilter(rowLevel: .keys))
        test.run()
        #expect(
            connection.take() == [
                "subscribed tables e:0", "e:1 t none", "subscribed tables e:1", "e:2 t keys",
                "subscribed tables e:1 true", "e:2 t none",
            ]
        )
    }

    @Test func `a replay goes at the pace of its client while others are served`() {
        var limits = HubLimits()
        limits.replayChunkBytes = 1000
        limits.resumeQueuedBytes = 0
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        let (other, hearing) = test.connect()
        test.subscribeToTables(other)
        for _ in 0..<100 { test.publish("t") }
        connection.isStalled = true
        test.subscribeToTables(client, since: 0)
        test.run()
        #expect(connection.received.count <= 11)
        for _ in 0..<30 {
            test.publish("t")
            connection.read()
            test.hub.drained(client)
            test.run()
            #expect(connection.queuedBytes < 500)
        }
        #expect(connection.take() == ["subscribed tables e:0 true"] + Self.texts(1...130))
        #expect(hearing.take() == ["subscribed tables e:0"] + Self.texts(1...130))
    }

    /// A client that resumes after nine transactions, and reads nothing for now: its replay takes several parts.
    private static func stalledReplay() -> (TestHub, ClientID, TestConnection) {
        var limits = HubLimits()
        limits.replayChunkBytes = 300
        limits.resumeQueuedBytes = 0
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        for _ in 0..<9 { test.publish("t") }
        connection.isStalled = true
        test.subscribeToTables(client, since: 0)
        return (test, client, connection)
    }

    @Test func `a message after the replay comes when every subscription has caught up`() throws {
        let (test, client, connection) = Self.stalledReplay()
        // The first is replayed alone while this one waits.
        test.subscribeToTables(client, try TableFilter(rowLevel: .keys))
        let held = try test.hub.hold(client, try TableFilter(rowLevel: .values))
        test.publish("t")
        test.hub.sendAfterReplay(EncodedMessage("caught up"), to: client)
        test.hub.send(EncodedMessage("at once"), to: client)
        test.run()
        #expect(connection.take().last == "at once")
        connection.isStalled = false
        connection.read()
        test.hub.drained(client)
        test.run()
        let texts = connection.take()
        #expect(texts.last == "caught up", "a snapshot is not waited for")
        #expect(texts.contains("e:10 t none") && texts.contains("e:10 t keys"))
        #expect(test.hub.isHeld(held))
        test.hub.sendAfterReplay(EncodedMessage("again"), to: client)
        test.run()
        #expect(connection.take() == ["again"])
    }

    @Test func `a subscription that replaces one that is being replayed continues at its position`() throws {
        let (test, client, connection) = Self.stalledReplay()
        test.run()
        connection.read()
        test.hub.drained(client)
        test.subscribeToTables(client, try TableFilter(rowLevel: .keys), replacing: .everything)
        test.run()
        connection.isStalled = false
        connection.read()
        test.hub.drained(client)
        test.run()
        test.publish("t")
        test.run()
        let texts = connection.take()
        let split = try #require(texts.lastIndex { $0.hasPrefix("subscribed") })
        #expect(split == 4)
        #expect(Array(texts[1..<split]) == Self.texts(1...(split - 1)))
        #expect(texts[split] == "subscribed tables e:\(split - 1)")
        #expect(Array(texts[(split + 1)...]) == Self.texts(split...10, "keys"))
    }

    @Test func `a client that catches up slower than the history forgets is closed`() {
        var limits = HubLimits()
        limits.replayChunkBytes = 100
        limits.resumeQueuedBytes = 0
        limits.history.maxBytes = 1000
        limits.history.maxPinnedBytes = 1000
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        for _ in 0..<10 { test.publish("t") }
        connection.isStalled = true
        test.subscribeToTables(client, since: 0)
        test.run()
        connection.read()
        test.hub.drained(client)
        for _ in 0..<10 { test.publish("t") }
        test.run()
        #expect(test.hub.statistics.historyTransactions == 19)
        for _ in 0..<10 { test.publish("t") }
        connection.read()
        test.hub.drained(client)
        test.run()
        #expect(connection.closed == .tooSlow)
        test.publish("t")
        #expect(test.hub.statistics.historyTransactions == 10)
    }

    @Test func `only subscribers of tables are notified of a new epoch`() {
        let test = TestHub()
        let (client, connection) = test.connect()
        let (_, other) = test.connect()
        test.subscribeToTables(client)
        test.publish("t")
        test.reset(epoch: "f")
        test.publish("t")
        test.run()
        #expect(
            connection.take() == ["subscribed tables e:0", "e:1 t none", "subscribed tables f:0 false", "f:1 t none"]
        )
        #expect(other.take() == [])
        test.subscribeToTables(client, since: 1, epoch: "e")
        test.run()
        #expect(connection.take() == ["subscribed tables f:1 false"])
    }

    @Test func `a new epoch ends replays and snapshots`() throws {
        var limits = HubLimits()
        limits.replayChunkBytes = 100
        limits.resumeQueuedBytes = 0
        let test = TestHub(limits: limits)
        let (replaying, connection) = test.connect()
        let (held, holding) = test.connect()
        for _ in 0..<5 { test.publish("t") }
        connection.isStalled = true
        test.subscribeToTables(replaying, since: 0)
        test.run()
        connection.read()
        test.hub.drained(replaying)
        let hold = try test.hub.hold(held, .everything)
        test.run()
        test.reset(epoch: "f")
        #expect(!test.hub.isHeld(hold))
        connection.read()
        test.hub.drained(replaying)
        test.publish("t")
        test.hub.release(hold, after: Position(epoch: "e", sequence: 5))
        test.run()
        #expect(
            connection.take() == [
                "subscribed tables e:0 true", "e:1 t none", "subscribed tables f:0 false", "f:1 t none",
            ]
        )
        #expect(holding.take() == ["subscribed tables f:0 false", "f:1 t none"])
    }
}

@Suite struct SnapshotTests {
    @Test func `what was committed after the snapshot follows it`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.publish("t")
        let hold = try test.hub.hold(client, .everything)
        #expect(test.hub.filters == [.everything])
        test.publish("t")
        test.publish("t")
        test.run()
        #expect(test.hub.isHeld(hold))
        test.hub.send(EncodedMessage("rows as of 2"), to: client)
        test.hub.release(hold, after: Position(epoch: "e", sequence: 2))
        test.publish("t")
        test.run()
        test.publish("t")
        test.run()
        #expect(connection.take() == ["rows as of 2", "snapshot end", "e:3 t none", "e:4 t none", "e:5 t none"])
        #expect(!test.hub.isHeld(hold))
    }

    @Test func `a snapshot may be ahead of what was published`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.publish("t")
        let hold = try test.hub.hold(client, .everything)
        test.hub.send(EncodedMessage("rows as of 3"), to: client)
        test.hub.release(hold, after: Position(epoch: "e", sequence: 3))
        test.run()
        for _ in 0..<4 { test.publish("t") }
        test.run()
        #expect(connection.take() == ["rows as of 3", "snapshot end", "e:4 t none", "e:5 t none"])
    }

    @Test func `a transaction without events leaves no gap behind a snapshot`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        let hold = try test.hub.hold(client, .everything)
        test.hub.release(hold, after: Position(epoch: "e", sequence: 2))
        test.run()
        test.publish("t")
        test.skip(1)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["snapshot end", "e:3 t none"])
    }

    @Test func `what a snapshot will need is kept beyond the limits of the history`() throws {
        var limits = HubLimits()
        limits.history.maxTransactions = 2
        limits.replayChunkBytes = 250
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        let hold = try test.hub.hold(client, .everything)
        for _ in 0..<10 { test.publish("t") }
        test.hub.release(hold, after: Position(epoch: "e", sequence: 1))
        test.run()
        #expect(connection.take() == ["snapshot end"] + (2...10).map { "e:\($0) t none" })
        test.publish("t")
        #expect(test.hub.statistics.historyTransactions == 2)
    }

    @Test func `a subscription that replaces a held one ends the hold`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        let hold = try test.hub.hold(client, .everything)
        test.run()
        test.publish("t")
        test.subscribeToTables(client)
        test.run()
        #expect(!test.hub.isHeld(hold))
        test.hub.release(hold, after: Position(epoch: "e", sequence: 0))
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:1", "e:2 t none"])
    }

    @Test func `nothing of a snapshot comes after what ended its subscription`() throws {
        for endings in [[ClientChange.unsubscribe], [.subscribe], [.hold], [.unsubscribe, .hold]] {
            let test = TestHub()
            let (client, connection) = test.connect()
            let hold = try test.hub.hold(client, .everything)
            let answers = Answers()
            test.hub.send(EncodedMessage("acknowledged"), under: hold) { answers.add($0) }
            for ending in endings {
                switch ending {
                case .unsubscribe: test.hub.unsubscribeAll(client, from: .tables)
                case .subscribe: test.subscribeToTables(client)
                case .hold: _ = try test.hub.hold(client, .everything)
                }
            }
            // In one batch with the message that ends it, and later.
            test.hub.send(EncodedMessage("rows"), under: hold) { answers.add($0) }
            test.run()
            test.hub.send(EncodedMessage("more rows"), under: hold) { answers.add($0) }
            test.run()
            let received = connection.take()
            #expect(received.first == "acknowledged")
            #expect(!received.contains { $0.hasSuffix("rows") })
            #expect(answers.all == [false, true, false])
        }
    }

    private enum ClientChange {
        case unsubscribe, subscribe, hold
    }

    @Test func `a snapshot that failed ends its own subscription and no other`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        let failed = try test.hub.hold(client, .everything)
        test.hub.abandon(failed)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["unsubscribed tables"])
        #expect(!test.hub.isHeld(failed))
        #expect(test.hub.filters == [])
        let replaced = try test.hub.hold(client, .everything)
        test.subscribeToTables(client)
        test.hub.abandon(replaced)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:1", "e:2 t none"])
    }

    @Test func `a client that goes while it is held leaves nothing behind`() throws {
        let test = TestHub()
        let (client, _) = test.connect()
        let hold = try test.hub.hold(client, .everything)
        test.run()
        test.hub.disconnect(client)
        #expect(!test.hub.isHeld(hold))
        #expect(test.hub.filters == [])
        test.hub.release(hold, after: Position(epoch: "e", sequence: 0))
        test.run()
    }
}
