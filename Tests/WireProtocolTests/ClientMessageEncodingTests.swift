import RandomSupport
import Testing
import WireProtocol

/// A message that is written and read again is the same message.
@Suite struct ClientMessageEncodingTests {
    private static let position = Position(epoch: "e-1", sequence: 5)

    private static func everyBody() throws -> [ClientMessage.Body] {
        let filter = try TableFilter(
            tables: ["album"],
            operations: [.insert, .schema],
            rowLevel: .values,
            condition: RowCondition(sql: "id > ?", parameters: .positional([.integer(1 << 60), .real(1)]))
        )
        let subscribe = SubscribeRequest(channel: .tables, filter: filter, since: position, replaces: "t1")
        return [
            .subscribe(subscribe), .subscribe(SubscribeRequest(channel: .queries)),
            .subscribe(SubscribeRequest(channel: .tables, wantsSnapshot: true)),
            .subscribe(SubscribeRequest(channel: .tables, subscriptions: [filter, .everything], since: position)),
            .unsubscribe(.tables), .unsubscribe(.tables, subscription: "t1"),
            .executeQuery(QueryRequest(sql: "SELECT \"1\"\n")),
            .executeQuery(
                QueryRequest(
                    sql: "SELECT :a",
                    parameters: .named([":a": .blob([0, 255]), "b\"": .malformedText([0xFF]), "c": .real(-.infinity)]),
                    queryID: "q",
                    rowFormat: .arrays,
                    maxRows: 0,
                    timeout: .milliseconds(1_500),
                    progressInterval: .milliseconds(20),
                    isAtomic: false
                )
            ),
            .cancelQuery(id: "q"),
            .subscribeQuery(
                LiveQueryRequest(sql: "SELECT 1", parameters: .positional([]), key: ["id"], since: position)
            ),
            .unsubscribeQuery("l1"),
            .writeRow(RowWriteRequest(table: "t", operation: .insert, values: ["a": .null, "b": .text("é")])),
            .writeRow(
                RowWriteRequest(
                    table: "t",
                    operation: .update,
                    key: ["id": .integer(1)],
                    rowid: .max,
                    before: ["a": .real(0.1)],
                    values: ["a": .real(1e300)],
                    queryID: "w",
                    timeout: .seconds(1)
                )
            ),
            .writeRow(RowWriteRequest(table: "t", operation: .delete, rowid: -1)), .renewToken("t\"é"),
            .identify(username: "ada"),
            .cursor(
                .text(
                    TextPosition(line: 1, column: 2),
                    selection: TextSelection(
                        start: TextPosition(line: 0, column: 0),
                        end: TextPosition(line: 1, column: 2)
                    ),
                    in: .own("SELECT")
                )
            ),
            .cursor(.text(TextPosition(line: 1, column: 2), selection: nil, in: .ofUser("u"))),
            .cursor(.cell(table: "t", row: .integer(5), column: "c")), .heartbeat(), .heartbeat(afterReplay: true),
            .custom(MessageType("chat:message"), ["text": "hello", "n": [1, true, .null]]),
        ]
    }

    @Test func `every message is read as it was written`() throws {
        for body in try Self.everyBody() {
            for id in [nil, "r\"1"] {
                let message = ClientMessage(id: id, body)
                #expect(try ClientMessage(parsing: message.json.utf8) == message, "\(message)")
            }
        }
    }

    @Test func `every type of message is among the written ones`() throws {
        let types = Set(try Self.everyBody().map { ClientMessage($0).type })
        #expect(types == Set(MessageType.clientTypes + [MessageType("chat:message")]))
    }

    @Test func `random parameters are read as they were written`() throws {
        var random = SeededGenerator.announced()
        for _ in 0..<2_000 {
            let values = (0..<random.below(6)).map { _ in Self.value(&random) }
            let named = Dictionary(values.map { (random.text(5), $0) }) { $1 }
            let parameters: QueryRequest.Parameters = random.chance(50) ? .positional(values) : .named(named)
            let message = ClientMessage(.executeQuery(QueryRequest(sql: random.text(20), parameters: parameters)))
            #expect(try ClientMessage(parsing: message.json.utf8) == message, "\(message)")
        }
    }

    private static func value(_ random: inout SeededGenerator) -> WireValue {
        switch random.below(6) {
        case 0: .null
        case 1: .integer(Int64(bitPattern: random.next()) >> random.below(64))
        case 2:
            {
                let number = Double(bitPattern: random.next())
                return number.isNaN ? .real(.infinity) : .real(number)
            }()
        case 3: .text(random.text(random.below(20)))
        case 4: .blob(random.bytes(random.below(20)))
        default: .malformedText(random.bytes(random.below(5)) + [0xFF])
        }
    }
}
