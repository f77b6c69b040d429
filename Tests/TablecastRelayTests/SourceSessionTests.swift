import TablecastRelay
import Testing
import WireProtocol

/// What a relay decides about the messages of its source.
struct SourceSessionTests {
    private var session = SourceSession(id: "here")

    private func position(_ sequence: UInt64, _ epoch: String = "a") -> Position {
        Position(epoch: epoch, sequence: sequence)
    }

    private func envelope(_ payload: ServerPayload, replyTo: String? = nil) -> Envelope {
        Envelope(
            header: EnvelopeHeader(payload.type, channel: .notifications, replyTo: replyTo, timestamp: 7),
            payload: payload
        )
    }

    private func envelope(_ state: RelayStatePayload) -> Envelope {
        var writer = JSONWriter()
        state.write(to: &writer)
        return envelope(.custom(RelayFormat.state, (try? JSONValue(parsing: writer.bytes)) ?? .null))
    }

    private mutating func greet(
        _ head: UInt64,
        _ epoch: String = "a",
        relays: [String]? = nil,
        capabilities: [String] = [RelayFormat.capability]
    ) -> [SourceSession.Action] {
        session.connected()
        let acknowledgement = ConnectionAckPayload(
            clientID: "c",
            connectedAt: 0,
            serverInfo: ServerInfo(version: "9", capabilities: capabilities),
            heartbeatInterval: 0,
            database: "my.db",
            position: position(head, epoch),
            relays: relays
        )
        return session.received(envelope(.connectionAck(acknowledgement)))
    }

    private mutating func subscribed(
        _ position: Position,
        _ recovered: Bool?,
        isAnswer: Bool = true
    ) -> [SourceSession.Action] {
        let payload = SubscribedPayload(channel: .tables, position: position, recovered: recovered)
        return session.received(envelope(.subscribed(payload), replyTo: isAnswer ? "relay" : nil))
    }

    private mutating func transaction(_ position: Position, _ bytes: [UInt8] = [1], isLast: Bool = true)
        -> [SourceSession.Action]
    {
        var writer = JSONWriter()
        let payload = RelayTransactionPayload(
            subscription: "t",
            bytes: bytes,
            transaction: .init(position: position, isLast: isLast)
        )
        payload.write(to: &writer)
        let data = (try? JSONValue(parsing: writer.bytes)) ?? .null
        return session.received(envelope(.custom(RelayFormat.transaction, data)))
    }

    private func published(_ position: Position, _ bytes: [UInt8] = [1]) -> SourceSession.Action {
        .publish(SourceTransaction(position: position, timestamp: 7, bytes: bytes))
    }

    private func request(since: Position?) -> SourceSession.Action {
        let request = SubscribeRequest(channel: .tables, filter: .forRelay, since: since)
        return .send(ClientMessage(id: "relay", .subscribe(request)))
    }

    /// Begins at sequence 10.
    private mutating func begin() {
        _ = greet(10)
        _ = subscribed(position(10), true)
    }

    @Test mutating func `the beginning is as far back as the source has transactions`() {
        #expect(greet(20_000) == [.path(["here"]), request(since: position(10_000))])
        #expect(subscribed(position(20_000), false) == [request(since: position(19_000))])
        #expect(transaction(position(20_001)) == [])
        #expect(subscribed(position(19_000), true) == [.begin(position(19_000))])
        #expect(transaction(position(19_001)) == [published(position(19_001))])
    }

    @Test mutating func `a source without earlier transactions is followed from its newest`() {
        _ = greet(50)
        #expect(subscribed(position(50), false) == [request(since: position(0))])
        #expect(subscribed(position(50), false) == [request(since: position(0))])
        #expect(subscribed(position(50), false) == [.begin(position(50)), .caughtUp])
    }

    @Test mutating func `the relay is up to date with the transaction of the greeting`() {
        _ = greet(2)
        _ = subscribed(position(0), true)
        #expect(transaction(position(1)) == [published(position(1))])
        #expect(transaction(position(2)) == [published(position(2)), .caughtUp])
        #expect(transaction(position(3)) == [published(position(3))])
    }

    @Test mutating func `another connection continues after the last whole transaction`() {
        begin()
        #expect(transaction(position(11), [1], isLast: false) == [])
        #expect(greet(11) == [.path(["here"]), request(since: position(10))])
        #expect(subscribed(position(10), true) == [])
        #expect(transaction(position(11), [1], isLast: false) == [])
        #expect(transaction(position(11), [2]) == [published(position(11), [1, 2]), .caughtUp])
    }

    private mutating func checked(_ id: String, _ position: Position) -> [SourceSession.Action] {
        let data: JSONValue = ["position": .string(position.description)]
        return session.received(envelope(.custom(RelayFormat.checked, data), replyTo: id))
    }

    @Test mutating func `a check has its answer when the relay has reached the position in it`() {
        begin()
        #expect(checked("c", position(12)) == [])
        #expect(transaction(position(11)) == [published(position(11))])
        #expect(transaction(position(12)) == [published(position(12)), .checked("c")])
        #expect(checked("d", position(12)) == [.checked("d")])
    }

    @Test mutating func `a check is over when a new epoch has been received`() {
        begin()
        #expect(checked("c", position(12)) == [])
        #expect(subscribed(position(5, "b"), nil, isAnswer: false) == [request(since: position(0, "b"))])
        #expect(subscribed(position(0, "b"), true) == [.restart(position(0, "b"), isAnnounced: true)])
        for sequence in 1...4 as ClosedRange<UInt64> { _ = transaction(position(sequence, "b")) }
        let last = position(5, "b")
        #expect(transaction(last) == [published(last), .caughtUp, .checked("c")])
    }

    @Test mutating func `a repeated transaction is not published`() {
        begin()
        #expect(transaction(position(10)) == [])
    }

    @Test mutating func `a hole is a gap before the transaction behind it`() {
        begin()
        #expect(transaction(position(13)) == [.gap(position(12), isAnnounced: false), published(position(13))])
    }

    @Test mutating func `a source that does not have the missing transactions is a gap`() {
        begin()
        _ = greet(90)
        for _ in SourceSession.backfillCounts {
            #expect(subscribed(position(90), false) == [request(since: position(0))])
        }
        #expect(subscribed(position(90), false) == [.restart(position(90), isAnnounced: false), .caughtUp])
    }

    @Test mutating func `after a gap the history of the source is received`() {
        begin()
        _ = greet(20_000, "b")
        #expect(subscribed(position(20_000, "b"), false) == [request(since: position(10_000, "b"))])
        #expect(subscribed(position(20_000, "b"), false) == [request(since: position(19_000, "b"))])
        let start = position(19_000, "b")
        #expect(subscribed(start, true) == [.restart(start, isAnnounced: false)])
        #expect(transaction(start.next) == [published(start.next)])
        #expect(transaction(position(20_000, "b")).last == .caughtUp)
    }

    @Test mutating func `an equal sequence of another epoch is no continuation`() {
        session = SourceSession(id: "here")
        _ = greet(0)
        _ = subscribed(position(0), nil)
        _ = greet(5, "b")
        #expect(subscribed(position(5, "b"), false) == [request(since: position(0, "b"))])
        #expect(subscribed(position(0, "b"), true) == [.restart(position(0, "b"), isAnnounced: false)])
    }

    @Test mutating func `another epoch without a request is announced by the source, and its tables are asked for`() {
        begin()
        let new = position(0, "b")
        #expect(subscribed(new, false, isAnswer: false) == [request(since: new)])
        #expect(subscribed(new, true) == [.restart(new, isAnnounced: true), .caughtUp])
    }

    @Test mutating func `the epoch of a restarted source goes on`() {
        begin()
        _ = greet(12, "b")
        let state = RelayStatePayload(tables: [0], earlierEpochs: ["a": 11], goneBecause: nil)
        #expect(session.received(envelope(state)) == [])
        #expect(subscribed(position(10, "b"), true) == [.rename(epoch: "b", earlier: ["a": 11])])
        #expect(session.received(envelope(state)) == [.state(state)])
        #expect(transaction(position(11, "b")) == [published(position(11, "b"))])
    }

    @Test mutating func `a relay of a relay follows a restart of the source`() {
        begin()
        func renamed(_ text: JSONValue) -> Envelope {
            envelope(.custom(RelayFormat.renamed, ["position": text, "earlierEpochs": ["a": 10]]))
        }
        #expect(session.received(renamed("b:10")) == [.rename(epoch: "b", earlier: ["a": 10])])
        #expect(session.received(renamed("b:10")) == [.rename(epoch: "b", earlier: ["a": 10])])
        #expect(session.received(renamed("c:12")) == [.gap(position(12, "c"), isAnnounced: false)])
    }

    @Test mutating func `a restart of the source is followed during a replay`() {
        session = SourceSession(id: "here")
        _ = greet(10, "run-a")
        _ = subscribed(position(10, "run-a"), true)
        func renamed(_ position: Position) -> Envelope {
            let data: JSONValue = ["position": .string("\(position)"), "earlierEpochs": ["run-a": 12]]
            return envelope(.custom(RelayFormat.renamed, data))
        }
        // Transactions of the replay have the new epoch before the message about it is received.
        let next = position(11, "run-b")
        #expect(transaction(next) == [.rename(epoch: "run-b", earlier: nil), published(next)])
        #expect(session.received(renamed(position(12, "run-b"))) == [.rename(epoch: "run-b", earlier: ["run-a": 12])])
        #expect(transaction(position(12, "run-b")) == [published(position(12, "run-b"))])
    }

    @Test mutating func `the message about a restart can overtake a replay`() {
        begin()
        let data: JSONValue = ["position": "b:12", "earlierEpochs": ["a": 12]]
        #expect(
            session.received(envelope(.custom(RelayFormat.renamed, data)))
                == [.rename(epoch: "b", earlier: ["a": 12])]
        )
        #expect(transaction(position(11, "b")) == [published(position(11, "b"))])
    }

    @Test mutating func `transactions of another run are a gap`() {
        begin()
        let other = position(11, "other-b")
        #expect(transaction(other) == [.gap(position(10, "other-b"), isAnnounced: false), published(other)])
    }

    @Test mutating func `a source reports whether it is cut off from the database`() {
        begin()
        #expect(!session.sourceIsAway)
        _ = session.received(envelope(.custom(MessageType("database:gone"), [:])))
        #expect(session.sourceIsAway)
        _ = session.received(envelope(.custom(MessageType("database:back"), [:])))
        #expect(!session.sourceIsAway)
        _ = session.received(envelope(RelayStatePayload(tables: [0], earlierEpochs: [:], goneBecause: "it was lost")))
        #expect(session.sourceIsAway)
        _ = session.received(envelope(RelayStatePayload(tables: [0], earlierEpochs: [:], goneBecause: nil)))
        #expect(!session.sourceIsAway)
        _ = session.received(envelope(RelayStatePayload(tables: [0], earlierEpochs: [:], goneBecause: "it was lost")))
        session.connected()
        #expect(!session.sourceIsAway)
    }

    @Test mutating func `a relay that finds itself stops`() {
        #expect(greet(1, relays: ["one", "here"]) == [.stop(.loop)])
        begin()
        let path = envelope(.custom(RelayFormat.path, ["relays": ["here"]]))
        #expect(session.received(path) == [.stop(.loop)])
        #expect(greet(1, relays: ["one"]).first == .path(["one", "here"]))
    }

    @Test mutating func `a server without this version's capability is refused`() {
        #expect(greet(1, capabilities: ["tables"]) == [.stop(.versionDiffers("9"))])
    }

    @Test mutating func `a malformed transaction ends the connection`() {
        begin()
        #expect(
            session.received(envelope(.custom(RelayFormat.transaction, ["bytes": 1]))) == [.stop(.protocolViolation)]
        )
    }
}
