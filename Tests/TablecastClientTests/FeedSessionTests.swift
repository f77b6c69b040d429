import TablecastClient
import Testing
import WireProtocol

struct FeedSessionTests {
    @Test func `it subscribes to every channel when it is connected`() throws {
        let filter = try TableFilter(rowLevel: .keys)
        var session = FeedSession(channels: [.tables, .queries], filter: filter, since: position(4))
        let tables = SubscribeRequest(channel: .tables, filter: filter, since: position(4))
        let expected = [
            ClientMessage(id: "tables", .subscribe(tables)),
            ClientMessage(id: "queries", .subscribe(SubscribeRequest(channel: .queries))),
        ]
        let actions = session.received(acknowledgement)
        #expect(sent(actions) == expected)
        #expect(events(actions) == ["reply connection:ack", "connected"])
    }

    @Test func `a second connection resumes after the last whole transaction`() {
        var session = FeedSession(channels: [.tables])
        _ = session.received(acknowledgement)
        #expect(events(session.received(subscribed(at: 9, recovered: nil))) == ["reply subscribed"])
        #expect(events(session.received(dropped(at: 10, isLast: true))) == ["table:dropped complete e:10"])
        #expect(events(session.received(dropped(at: 11, isLast: false))) == ["table:dropped"])
        let again = session.received(acknowledgement)
        let request = SubscribeRequest(channel: .tables, since: position(10))
        #expect(sent(again) == [ClientMessage(id: "tables", .subscribe(request))])
        let resumed = events(session.received(subscribed(at: 12, recovered: true)))
        #expect(resumed == ["reply subscribed", "resumed"])
        #expect(events(session.received(dropped(at: 11, isLast: false))).isEmpty)
        #expect(events(session.received(dropped(at: 11, isLast: true))) == ["table:dropped complete e:11"])
    }

    @Test func `it reports when transactions may be missing`() {
        var session = FeedSession(channels: [.tables], since: Position(epoch: "old", sequence: 1))
        _ = session.received(acknowledgement)
        #expect(events(session.received(subscribed(at: 9, recovered: false))) == ["reply subscribed", "missed e:9"])
    }

    @Test func `a refused subscription ends it`() {
        var session = FeedSession(channels: [.tables])
        let refusal = Envelope(
            header: EnvelopeHeader(id: "m", timestamp: 0, type: .error, channel: .notifications, replyTo: "tables"),
            payload: .error(ErrorPayload(message: "not allowed", code: .forbidden))
        )
        guard case .stop(let failure)? = session.received(ReceivedMessage(envelope: refusal, json: "")).first else {
            Issue.record("it goes on")
            return
        }
        #expect(failure.code == .requestFailed)
        #expect(failure.errorCode == .forbidden)
        #expect(failure.message == "not allowed")
    }

    @Test(
        arguments: [
            (.databaseGone, true, true), (.busy, true, true), (.interrupted, true, true),
            (.tooManyQueries, false, true),
            (.rateLimited, false, true), (.forbidden, false, false),
        ] as [(ErrorCode, Bool, Bool)]
    )
    func `an error that passes is followed by another connection`(code: ErrorCode, first: Bool, later: Bool) {
        func reconnects(_ session: inout FeedSession) -> Bool {
            let error = Envelope(
                header: EnvelopeHeader(id: "m", timestamp: 0, type: .error, channel: .notifications, replyTo: "tables"),
                payload: .error(ErrorPayload(message: "not now", code: code))
            )
            guard case .reconnect? = session.received(ReceivedMessage(envelope: error, json: "")).first else {
                return false
            }
            return true
        }
        var session = FeedSession(channels: [.tables])
        _ = session.received(acknowledgement)
        #expect(reconnects(&session) == first)
        _ = session.received(acknowledgement)
        // Nothing was missed: it has never begun.
        #expect(events(session.received(subscribed(at: 9, recovered: nil))) == ["reply subscribed"])
        #expect(reconnects(&session) == later)
    }

    private func sent(_ actions: [FeedSession.Action]) -> [ClientMessage] {
        actions.compactMap { action in
            guard case .send(let message) = action else { return nil }
            return message
        }
    }

    private func events(_ actions: [FeedSession.Action]) -> [String] {
        actions.compactMap { action in
            guard case .deliver(let event) = action else { return nil }
            switch event {
            case .connected: return "connected"
            case .resumed: return "resumed"
            case .missed(let position): return "missed \(position?.description ?? "")"
            case .disconnected: return "disconnected"
            case .message(let message):
                let type = message.envelope.header.type.rawValue
                if message.isReply { return "reply \(type)" }
                return type + (message.position.map { " complete \($0)" } ?? "")
            }
        }
    }

    private func position(_ sequence: UInt64) -> Position { Position(epoch: "e", sequence: sequence) }

    private var acknowledgement: ReceivedMessage {
        message(
            .connectionAck(
                ConnectionAckPayload(
                    clientID: "c",
                    connectedAt: 0,
                    serverInfo: ServerInfo(version: "1", capabilities: []),
                    heartbeatInterval: 30_000,
                    database: "music.db",
                    position: position(9)
                )
            )
        )
    }

    private func subscribed(at sequence: UInt64, recovered: Bool?) -> ReceivedMessage {
        message(.subscribed(SubscribedPayload(channel: .tables, position: position(sequence), recovered: recovered)))
    }

    private func dropped(at sequence: UInt64, isLast: Bool) -> ReceivedMessage {
        let transaction = TableEventContext.Transaction(position: position(sequence), isLast: isLast)
        let context = TableEventContext(transaction: transaction)
        return message(
            .tableDropped(TableDroppedPayload(tableName: "t", timestamp: 0, context: context)),
            position: position(sequence)
        )
    }

    private func message(_ payload: ServerPayload, position: Position? = nil) -> ReceivedMessage {
        let header = EnvelopeHeader(id: "m", timestamp: 0, type: payload.type, channel: .tables, position: position)
        return ReceivedMessage(envelope: Envelope(header: header, payload: payload), json: "{}")
    }
}
