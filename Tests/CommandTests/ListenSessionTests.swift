import Testing
import WireProtocol

@testable import TablecastCommand

struct ListenSessionTests {
    @Test func `it subscribes to every channel when it is connected`() {
        var session = ListenSession(channels: [.tables, .queries], subscription: ["rows": "keys"], since: "e:4")
        let actions = session.received(acknowledgement)
        #expect(actions.first == .report(.connected(database: "music.db", position: position(9))))
        #expect(
            sent(actions) == [
                #"{"channel":"tables","data":{"rows":"keys","since":"e:4"},"id":"tables","type":"subscribe"}"#,
                #"{"channel":"queries","data":{},"id":"queries","type":"subscribe"}"#,
            ]
        )
    }

    @Test func `a second connection resumes after the last whole transaction`() {
        var session = ListenSession(channels: [.tables], subscription: [:], since: nil)
        _ = session.received(acknowledgement)
        #expect(session.received(subscribed(at: 9, recovered: nil)).isEmpty)
        let actions = [
            session.received(dropped(at: 10, isLast: true)), session.received(dropped(at: 11, isLast: false)),
        ]
        #expect(actions == [[.print], [.print]])
        let again = session.received(acknowledgement)
        #expect(sent(again) == [#"{"channel":"tables","data":{"since":"e:10"},"id":"tables","type":"subscribe"}"#])
        let replay = [
            session.received(subscribed(at: 12, recovered: true)), session.received(dropped(at: 11, isLast: false)),
            session.received(dropped(at: 11, isLast: true)),
        ]
        #expect(replay == [[.report(.resumed)], [], [.print]])
    }

    @Test func `it reports when something was missed`() {
        var session = ListenSession(channels: [.tables], subscription: [:], since: "old:1")
        _ = session.received(acknowledgement)
        #expect(session.received(subscribed(at: 9, recovered: false)) == [.report(.missed)])
    }

    @Test func `a refused subscription ends it`() {
        var session = ListenSession(channels: [.tables], subscription: [:], since: nil)
        let refusal = Envelope(
            header: EnvelopeHeader(id: "m", timestamp: 0, type: .error, channel: .notifications, replyTo: "tables"),
            payload: .error(ErrorPayload(message: "not allowed", code: .forbidden))
        )
        let expected = CommandFailure(.failure, "the server refused: not allowed (FORBIDDEN)")
        #expect(session.received(refusal) == [.stop(expected)])
    }

    private func sent(_ actions: [ListenSession.Action]) -> [String] {
        actions.compactMap { action in
            guard case .send(let json) = action else { return nil }
            return String(decoding: json, as: UTF8.self)
        }
    }

    private func position(_ sequence: UInt64) -> Position { Position(epoch: "e", sequence: sequence) }

    private var acknowledgement: Envelope {
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

    private func subscribed(at sequence: UInt64, recovered: Bool?) -> Envelope {
        message(.subscribed(SubscribedPayload(channel: .tables, position: position(sequence), recovered: recovered)))
    }

    private func dropped(at sequence: UInt64, isLast: Bool) -> Envelope {
        let transaction = TableEventContext.Transaction(position: position(sequence), isLast: isLast)
        let context = TableEventContext(transaction: transaction)
        return message(
            .tableDropped(TableDroppedPayload(tableName: "t", timestamp: 0, context: context)),
            position: position(sequence)
        )
    }

    private func message(_ payload: ServerPayload, position: Position? = nil) -> Envelope {
        Envelope(
            header: EnvelopeHeader(id: "m", timestamp: 0, type: payload.type, channel: .tables, position: position),
            payload: payload
        )
    }
}
