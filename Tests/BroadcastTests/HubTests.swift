import Broadcast
import NIOCore
import Testing
import WireProtocol

@Suite struct HubTests {
    @Test func `only the subscribers of a channel receive its messages`() throws {
        let test = TestHub()
        let (listener, listening) = test.connect()
        let (_, other) = test.connect()
        test.hub.subscribe(listener, to: .queries, replyTo: "r")
        test.hub.send(EncodedMessage("a"), to: .queries)
        test.run()
        #expect(listening.take() == ["subscribed queries", "a"])
        #expect(other.take() == [])
    }

    @Test func `whether a channel may have receivers is known before a message is sent`() throws {
        let test = TestHub()
        #expect(!test.hub.hasListeners(.queries))
        let (client, connection) = test.connect()
        let (other, _) = test.connect()
        #expect(test.hub.hasListeners(.notifications))
        #expect(!test.hub.hasListeners(.queries))
        test.hub.send(EncodedMessage("unheard"), to: .queries)
        test.hub.subscribe(client, to: .queries)
        #expect(test.hub.hasListeners(.queries))
        test.hub.send(EncodedMessage("a"), to: .queries)
        test.run()
        #expect(connection.take() == ["subscribed queries", "a"])
        test.hub.disconnect(client)
        test.hub.disconnect(other)
        #expect(!test.hub.hasListeners(.queries))
    }

    @Test func `a message to a topic reaches the clients that have joined it, in order`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        let (_, other) = test.connect()
        test.hub.send(EncodedMessage("before"), to: Topic(1))
        test.hub.join(client, Topic(1))
        test.hub.send(EncodedMessage("first"), to: Topic(1))
        test.run()
        // In a later turn of the event loop as well.
        test.hub.send(EncodedMessage("second"), to: Topic(1))
        test.hub.send(EncodedMessage("elsewhere"), to: Topic(2))
        test.run()
        #expect(connection.take() == ["first", "second"])
        test.hub.leave(client, Topic(1))
        test.hub.send(EncodedMessage("after"), to: Topic(1))
        test.run()
        #expect(connection.take() == [])
        #expect(other.take() == [])
    }

    @Test func `clients without a subscription to tables receive no transactions`() throws {
        var limits = HubLimits()
        limits.maxPendingBytes = 150
        let test = TestHub(limits: limits)
        let (client, connection) = test.connect()
        test.run()
        // More than may be pending, if it were.
        for _ in 0..<3 { test.publish("t") }
        test.run()
        #expect(connection.closed == nil)
        test.subscribeToTables(client)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:3", "e:4 t none"])
    }

    @Test func `a new client receives its greeting, then notifications`() {
        let test = TestHub()
        let connection = TestConnection(test.loop)
        test.hub.sendToEveryone(EncodedMessage("before"))
        _ = test.hub.connect(connection) { id in [EncodedMessage("hello \(id)")] }
        test.hub.send(EncodedMessage("a"), to: .notifications)
        test.run()
        #expect(connection.received.first?.hasPrefix("hello client") == true)
        #expect(connection.received.dropFirst() == ["a"])
    }

    @Test func `what is published in one turn is one write for each client`() throws {
        let test = TestHub()
        let clients = (0..<5).map { _ in test.connect() }
        test.run()
        for number in 0..<10 { test.hub.send(EncodedMessage("\(number)"), to: .notifications) }
        test.run()
        for (_, connection) in clients {
            #expect(connection.take() == (0..<10).map(String.init))
            #expect(connection.writes == 1)
        }
    }

    @Test func `large messages are not copied to be written together`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.run()
        let large = (0..<3).map { String(repeating: "\($0)", count: 200_000) }
        for message in ["a", "b"] { test.hub.send(EncodedMessage(message), to: .notifications) }
        for message in large { test.hub.send(EncodedMessage(message), to: .notifications) }
        test.hub.send(EncodedMessage("c"), to: client)
        test.hub.send(EncodedMessage(large[0]), to: client)
        test.hub.send(EncodedMessage("d"), to: .notifications)
        let before = connection.writes
        test.run()
        #expect(connection.take() == ["a", "b"] + large + ["c", large[0], "d"])
        // The small ones before, between and after them are written together.
        #expect(connection.writes - before == 7)
    }

    @Test func `a message is framed once for all clients of a frameEncoding`() {
        let test = TestHub()
        let framed = Counter()
        let frameEncoding = FrameEncoding(name: "counting") { message in
            framed.increment()
            return message.json
        }
        let connections = (0..<5).map { _ in TestConnection(test.loop, frameEncoding) }
        for connection in connections { _ = test.hub.connect(connection) }
        let (_, plain) = test.connect()
        test.hub.send(EncodedMessage("a"), to: .notifications)
        test.run()
        #expect(connections.allSatisfy { $0.received == ["a"] })
        #expect(plain.take() == ["a"])
        #expect(framed.count == 1)
    }

    @Test func `a transaction is encoded once for each distinct filter`() throws {
        let test = TestHub()
        let keys = try TableFilter(rowLevel: .keys)
        for filter in [.everything, .everything, keys, keys] { test.subscribeToTables(test.connect().0, filter) }
        test.run()
        let publication = CountingPublication(position: Position(epoch: "e", sequence: 1))
        test.hub.publish(publication)
        test.run()
        #expect(publication.asked.count == 2)
    }

    @Test func `one client can be left out`() {
        let test = TestHub()
        let (sender, sending) = test.connect()
        let (_, other) = test.connect()
        test.hub.send(EncodedMessage("a"), to: .notifications, except: sender)
        test.hub.sendToEveryone(EncodedMessage("b"), except: sender)
        test.hub.sendToEveryone(EncodedMessage("c"))
        test.run()
        #expect(sending.take() == ["c"])
        #expect(other.take() == ["a", "b", "c"])
    }

    @Test func `a message to one client keeps its place among those to all`() {
        let test = TestHub()
        let (client, connection) = test.connect()
        let (_, other) = test.connect()
        test.hub.send(EncodedMessage("1"), to: .notifications)
        test.hub.send(EncodedMessage("2"), to: client)
        test.hub.send(EncodedMessage("3"), to: .notifications)
        test.run()
        #expect(connection.take() == ["1", "2", "3"])
        #expect(other.take() == ["1", "3"])
    }

    @Test func `channels of one client keep their order among each other`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.hub.subscribe(client, to: .queries)
        test.subscribeToTables(client)
        test.run()
        _ = connection.take()
        test.hub.send(EncodedMessage("started"), to: .queries)
        test.publish("t")
        test.hub.send(EncodedMessage("complete"), to: .queries)
        test.run()
        #expect(connection.take() == ["started", "e:1 t none", "complete"])
        #expect(connection.writes == 2)
    }

    @Test func `unsubscribing ends a channel at its place`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.hub.send(EncodedMessage("1"), to: .notifications)
        test.hub.unsubscribeAll(client, from: .notifications)
        test.hub.send(EncodedMessage("2"), to: .notifications)
        test.hub.unsubscribeAll(client, from: .tables)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["1", "unsubscribed notifications", "unsubscribed tables"])
    }

    @Test func `closing comes after what was sent before`() {
        let test = TestHub()
        let (client, connection) = test.connect()
        let (_, other) = test.connect()
        test.hub.send(EncodedMessage("1"), to: .notifications)
        test.hub.close(client, .goingAway, reason: "")
        test.hub.send(EncodedMessage("2"), to: .notifications)
        test.run()
        #expect(connection.take() == ["1"])
        #expect(connection.closed == .goingAway)
        #expect(other.take() == ["1", "2"])
        test.hub.closeEveryone(.goingAway, reason: "")
        test.run()
        #expect(other.closed == .goingAway)
        #expect(test.hub.statistics.clients == 0)
    }

    @Test func `the filters of subscriptions are known at once and as long as a client has them`() throws {
        let test = TestHub()
        let (first, _) = test.connect()
        let (second, _) = test.connect()
        let values = try TableFilter(tables: ["t"], rowLevel: .values)
        test.subscribeToTables(first, values)
        #expect(test.hub.filters == [values])
        test.subscribeToTables(second, values)
        test.subscribeToTables(first, replacing: values)
        test.run()
        #expect(Set(test.hub.filters) == [.everything, values])
        test.hub.disconnect(second)
        #expect(test.hub.filters == [.everything])
        test.hub.unsubscribeAll(first, from: .tables)
        test.run()
        #expect(test.hub.filters == [])
    }

    @Test func `what was meant for a client that is gone is given back`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.run()
        let answers = Answers()
        test.hub.send(EncodedMessage("a"), to: client) { answers.add($0) }
        test.subscribeToTables(client)
        test.publish("t")
        test.subscribeToTables(client, since: 0)
        test.hub.disconnect(client)
        test.hub.disconnect(client)
        test.run()
        #expect(connection.take() == [])
        #expect(answers.all == [false])
        #expect(test.hub.filters == [])
        #expect(test.hub.statistics.clients == 0)
    }
}
