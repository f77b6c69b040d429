import Broadcast
import NIOCore
import Testing
import WireProtocol

@Suite struct SlowClientTests {
    private func limits(queuedBytes: Int) -> HubLimits {
        var limits = HubLimits()
        limits.maxQueuedBytes = queuedBytes
        limits.resumeQueuedBytes = 10
        return limits
    }

    @Test func `a client that does not read is closed, and others get everything`() {
        let test = TestHub(limits: limits(queuedBytes: 100))
        let (_, slow) = test.connect()
        let (_, other) = test.connect()
        slow.isStalled = true
        for number in 0..<100 {
            test.hub.send(EncodedMessage("message \(number)"), to: .notifications)
            test.run()
        }
        #expect(slow.closed == .tooSlow)
        #expect(slow.queuedBytes < 120)
        #expect(other.received.count == 100)
        #expect(test.hub.statistics.closedAsTooSlow == 1)
        #expect(test.hub.statistics.clients == 1)
    }

    @Test func `a client that is closed between two drains is counted at once`() {
        var limits = limits(queuedBytes: 1 << 20)
        limits.replayChunkBytes = 100
        limits.resumeQueuedBytes = 1 << 20
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        for _ in 0..<5 { test.publish("t") }
        test.subscribeToTables(client, since: 0)
        connection.isStalled = true
        connection.onWrite = { connection.queuedBytes = 2 << 20 }
        test.run()
        #expect(connection.closed == .tooSlow)
        #expect(test.hub.statistics.closedAsTooSlow == 1)
    }

    @Test func `a closed client is released`() {
        let test = TestHub(limits: limits(queuedBytes: 10))
        weak var connection: TestConnection?
        do {
            let slow = TestConnection(test.loop)
            connection = slow
            slow.isStalled = true
            _ = test.hub.connect(slow)
            for _ in 0..<3 {
                test.hub.send(EncodedMessage("message"), to: .notifications)
                test.run()
            }
        }
        #expect(connection == nil)
    }

    @Test func `a message beyond the limit comes to a client for which nothing waits`() {
        let test = TestHub(limits: limits(queuedBytes: 10))
        let (_, connection) = test.connect()
        connection.isStalled = true
        test.hub.send(EncodedMessage("much longer than ten bytes"), to: .notifications)
        test.run()
        #expect(connection.received.count == 1)
        #expect(connection.closed == nil)
    }

    @Test func `when too much is pending the connections of the event loop are closed`() {
        var limits = HubLimits()
        limits.maxPendingBytes = 1000
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        test.subscribeToTables(client)
        test.run()
        connection.forget()
        let answers = Answers()
        test.hub.send(EncodedMessage("x"), to: client) { answers.add($0) }
        for _ in 0..<20 { test.publish("t") }
        test.run()
        #expect(connection.closed == .tooSlow)
        #expect(connection.received == [])
        #expect(answers.all == [false])
        let (_, next) = test.connect()
        test.hub.send(EncodedMessage("a"), to: .notifications)
        test.run()
        #expect(next.take() == ["a"])
    }

    @Test func `a sender of much data is notified when the client can take more`() {
        let test = TestHub(limits: limits(queuedBytes: 1000))
        let (client, connection) = test.connect()
        let answers = Answers()
        test.hub.send(EncodedMessage("a longer message"), to: client) { answers.add($0) }
        test.run()
        #expect(answers.all == [true])
        connection.isStalled = true
        test.hub.send(EncodedMessage("a longer message"), to: client) { answers.add($0) }
        test.run()
        #expect(answers.all == [true])
        connection.read()
        test.hub.drained(client)
        #expect(answers.all == [true, true])
        test.hub.send(EncodedMessage("a longer message"), to: client) { answers.add($0) }
        test.run()
        test.hub.disconnect(client)
        #expect(answers.all == [true, true, false])
    }

    @Test func `a connection may end or drain while it is written to`() throws {
        let test = TestHub(limits: limits(queuedBytes: 1000))
        let clients = (0..<6).map { _ in test.connect() }
        test.run()
        let answers = Answers()
        for (index, (client, connection)) in clients.enumerated() {
            connection.onWrite = {
                if index % 2 == 0 { test.hub.disconnect(client) } else { test.hub.drained(client) }
            }
            test.hub.send(EncodedMessage("direct"), to: client) { answers.add($0) }
            if index > 2 { test.hub.subscribe(client, to: .queries) }
        }
        test.hub.send(EncodedMessage("1"), to: .notifications)
        test.run()
        test.hub.send(EncodedMessage("2"), to: .notifications)
        test.run()
        for (index, (_, connection)) in clients.enumerated() {
            #expect(connection.received.last == (index % 2 == 0 ? "1" : "2"))
        }
        #expect(answers.all.count { $0 } == 3)
        #expect(answers.all.count { !$0 } == 3)
        #expect(test.hub.statistics.clients == 3)
    }

    @Test func `a connection may end while its group is written to`() {
        let test = TestHub()
        let clients = (0..<5).map { _ in test.connect() }
        test.run()
        for (index, (client, connection)) in clients.enumerated() {
            let next = clients[(index + 1) % clients.count].0
            connection.onWrite = {
                if index == 1 {
                    test.hub.disconnect(next)
                    test.hub.disconnect(client)
                }
            }
        }
        test.hub.send(EncodedMessage("1"), to: .notifications)
        test.run()
        test.hub.send(EncodedMessage("2"), to: .notifications)
        test.run()
        #expect(clients.map(\.1.received.count) == [2, 1, 0, 2, 2])
    }
}
