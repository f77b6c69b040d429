import Broadcast
import NIOCore
import Testing
import WireProtocol

/// Several subscriptions of one connection, as single cases; `HubOracleTests` covers them randomly.
@Suite struct SubscriptionTests {
    private let t = TableSubscription(.everything)
    private let keys: TableSubscription
    private let u: TableSubscription

    init() throws {
        keys = TableSubscription(try TableFilter(rowLevel: .keys))
        u = TableSubscription(try TableFilter(tables: ["u"], rowLevel: .values))
    }

    /// The messages of `t` come first when its id is the lower one.
    private func ordered(_ subscriptions: [TableSubscription], _ text: (TableSubscription) -> String?) -> [String] {
        subscriptions.sorted { $0.id < $1.id }.compactMap(text)
    }

    @Test func `an id is made of the filter and the rights, and of nothing else`() throws {
        let filter = try TableFilter(tables: ["b", "A"], rowLevel: .keys)
        let same = try TableFilter(tables: ["a", "B", "b"], rowLevel: .keys)
        #expect(TableSubscription(filter) == TableSubscription(same))
        #expect(TableSubscription(filter).id == TableSubscription(same).id)
        // It must not change between versions: clients' messages keep their ids over a restart.
        #expect(TableSubscription(.everything).id == Self.idOfEverything)
        let others = [
            TableSubscription(filter, rights: "x"), TableSubscription(try TableFilter(tables: ["a"], rowLevel: .keys)),
            TableSubscription(try TableFilter(tables: ["b", "a"], rowLevel: .values)),
            TableSubscription(try TableFilter(tables: ["b", "a"], operations: .insert, rowLevel: .keys)),
        ]
        #expect(Set(others.map(\.id) + [TableSubscription(filter).id]).count == 5)
    }

    private static let idOfEverything = "tgenz719gaj"

    @Test func `only clients with several subscriptions receive the end of a transaction that concerns them`() throws {
        let test = TestHub()
        let (several, connection) = test.connect()
        let (one, other) = test.connect()
        test.subscribeToTables(one)
        try test.hub.subscribe(several, to: [keys])
        try test.hub.subscribe(several, to: [u])
        test.run()
        connection.forget()
        other.forget()
        test.publish("u")
        test.run()
        let texts = ordered([keys, u]) { "e:1 u \($0.filter.rowLevel)" }
        #expect(connection.take() == texts + ["end e:1"])
        #expect(other.take() == ["e:1 u none"])
        try test.hub.unsubscribe(several, from: keys.id)
        test.publish("t")
        test.publish("u")
        test.run()
        #expect(connection.take() == ["unsubscribed tables", "e:3 u values"])
    }

    @Test func `the end of a transaction is encoded once for all clients`() throws {
        let test = TestHub()
        let framed = Counter()
        let frameEncoding = FrameEncoding(name: "counting") { message in
            if message.type == .transactionEnd { framed.increment() }
            return message.json
        }
        for level in [RowLevel.none, .keys, .values] {
            let client = test.hub.connect(TestConnection(test.loop, frameEncoding))
            test.subscribeToTables(client, try TableFilter(rowLevel: level))
            test.subscribeToTables(client, try TableFilter(tables: ["u"], rowLevel: level))
        }
        test.publish("u")
        test.run()
        #expect(framed.count == 1)
    }

    @Test func `one that resumes comes up with the others before they go on`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        try test.hub.subscribe(client, to: [t])
        for table in ["t", "u", "t"] { test.publish(table) }
        test.run()
        connection.forget()
        try test.hub.subscribe(client, to: [u], since: Position(epoch: "e", sequence: 0))
        test.publish("u")
        test.run()
        let live = ordered([t, u]) { "e:4 u \($0.filter.rowLevel)" }
        #expect(connection.take() == ["subscribed tables e:0 true", "e:2 u values", "end e:3"] + live + ["end e:4"])
    }

    @Test func `several resume together, each transaction with its end`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        for table in ["t", "u"] { test.publish(table) }
        let start = Position(epoch: "e", sequence: 0)
        try test.hub.subscribe(client, to: [t, u, t], since: start, isList: true)
        test.run()
        let received = connection.received.map { gist($0, withIDs: true) }
        let second = ordered([t, u]) { "e:2 u \($0.filter.rowLevel)" }
        #expect(
            received == ["subscribed tables \(t.id),\(u.id),\(t.id) e:0 true", "e:1 t none", "end e:1"] + second
                + ["end e:2"]
        )
    }

    @Test func `an equal one begins again`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.publish("t")
        test.subscribeToTables(client)
        test.publish("t")
        test.subscribeToTables(client, since: 0)
        test.publish("t")
        test.run()
        #expect(
            connection.take() == [
                "subscribed tables e:1", "e:2 t none", "subscribed tables e:0 true", "e:1 t none", "e:2 t none",
                "e:3 t none",
            ]
        )
        #expect(test.hub.subscriptions(of: client) == [t])
    }

    @Test func `a subscription that a snapshot replaces continues until the snapshot is acknowledged`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        try test.hub.subscribe(client, to: [t])
        let failed = try test.hub.hold(client, u, replacing: t.id)
        test.publish("t")
        test.hub.abandon(failed)
        test.publish("t")
        let hold = try test.hub.hold(client, u, replacing: t.id)
        test.publish("t")
        test.hub.send(EncodedMessage("rows as of 2"), under: hold, isAcknowledgement: true) { _ in }
        test.publish("u")
        test.hub.release(hold, after: Position(epoch: "e", sequence: 2))
        test.run()
        #expect(
            connection.take() == [
                "subscribed tables e:0", "e:1 t none", "end e:1", "unsubscribed tables", "e:2 t none", "e:3 t none",
                "end e:3",
                "rows as of 2", "snapshot end", "e:4 u values",
            ]
        )
        #expect(test.hub.subscriptions(of: client) == [u])
    }

    @Test func `an unknown subscription is refused, and nothing has changed`() throws {
        let test = TestHub()
        let (client, connection) = test.connect()
        try test.hub.subscribe(client, to: [t])
        let refusals = [
            #expect(throws: ProtocolError.self) { try test.hub.subscribe(client, to: [keys], replacing: u.id) },
            #expect(throws: ProtocolError.self) { _ = try test.hub.hold(client, keys, replacing: u.id) },
            #expect(throws: ProtocolError.self) { try test.hub.unsubscribe(client, from: u.id) },
        ]
        for refusal in refusals {
            #expect(refusal?.code == .subscriptionNotFound && refusal?.message.contains(t.id) == true)
        }
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:0", "e:1 t none"])
        #expect(test.hub.subscriptions == [t])
    }

    @Test func `subscriptions of a client, filters of an owner and filters in all are limited`() throws {
        var limits = HubLimits()
        limits.maxSubscriptionsPerClient = 3
        limits.maxDistinctFilters = 4
        limits.maxDistinctFiltersInAll = 5
        let test = TestHub(limits: limits)
        func client(of owner: String) -> ClientID { test.hub.connect(TestConnection(test.loop), owner: owner) }
        func subscriptions(_ numbers: Int...) throws -> [TableSubscription] {
            try numbers.map { TableSubscription(try TableFilter(tables: ["t\($0)"])) }
        }
        func refused(_ client: ClientID, _ numbers: [TableSubscription], replacing: String? = nil) -> Bool {
            do throws(ProtocolError) {
                try test.hub.subscribe(client, to: numbers, replacing: replacing)
                return false
            } catch {
                return error.code == .rateLimited
            }
        }
        let (ada, adaToo, bob) = (client(of: "ada"), client(of: "ada"), client(of: "bob"))
        try test.hub.subscribe(ada, to: subscriptions(1, 2, 3))
        #expect(try refused(ada, subscriptions(4)))
        #expect(try !refused(ada, subscriptions(1)))
        #expect(try !refused(ada, subscriptions(4), replacing: subscriptions(3)[0].id))
        // 1, 2, 4 of one connection, and 3 of another one.
        #expect(try !refused(adaToo, subscriptions(1, 3)))
        #expect(try refused(adaToo, subscriptions(5)))
        // A subscription that others already have costs nothing more.
        #expect(try !refused(bob, subscriptions(1, 2)))
        #expect(try !refused(bob, subscriptions(6)))
        #expect(try refused(bob, subscriptions(7), replacing: subscriptions(1)[0].id))
        test.hub.disconnect(adaToo)
        test.run()
        #expect(try !refused(bob, subscriptions(7), replacing: subscriptions(1)[0].id))
        #expect(try refused(client(of: "eve"), subscriptions(8)))
        #expect(test.hub.subscriptions.count == 5)
    }
}
