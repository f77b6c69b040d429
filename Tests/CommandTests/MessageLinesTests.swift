import Testing
import WireProtocol

@testable import TablecastCommand

struct MessageLinesTests {
    @Test func `changed rows are listed under their table`() throws {
        let rows = [
            RowChangePayload(
                operation: .insert,
                key: ["id": .integer(1)],
                after: ["id": .integer(1), "v": .text("it's")]
            ),
            RowChangePayload(
                operation: .update,
                key: ["id": .integer(2)],
                before: ["id": .integer(2), "v": .text("b"), "w": .null],
                after: ["id": .integer(2), "v": .text("c"), "w": .null]
            ),
            RowChangePayload(
                operation: .delete,
                key: ["id": .integer(3)],
                before: ["id": .integer(3), "v": .blob([1, 255])]
            ),
        ]
        let change = RowsModification(inserted: 1, updated: 1, deleted: 1, rows: rows)
        let payload = TableModifiedPayload(
            tableName: "t",
            timestamp: 0,
            change: .rows(change),
            context: TableEventContext(username: "ada", origin: .service)
        )
        #expect(
            try text(.tableModified(payload)) == """
                00:00:01.000  changed   t  +1  ~1  -1  by ada
                                + id=1 v='it''s'
                                ~ id=2 v='b'→'c'
                                - id=3 v=x'01ff'
                """
        )
    }

    @Test(arguments: [(7, "t  +7  too many rows to list"), (0, "t  rows unknown")])
    func `rows that are not listed are reported as too many, or as unknown`(inserted: Int, line: String) throws {
        let change = RowsModification(inserted: inserted, updated: 0, deleted: 0, rowsOmitted: true)
        let payload = TableModifiedPayload(tableName: "t", timestamp: 0, change: .rows(change))
        #expect(try text(.tableModified(payload)) == "00:00:01.000  changed   \(line)")
    }

    @Test func `a created table shows its columns and its author`() throws {
        let columns = [
            ColumnPayload(name: "id", type: "INTEGER", isNotNull: false, primaryKeyOrdinal: 1),
            ColumnPayload(name: "order by", type: "", isNotNull: false, primaryKeyOrdinal: 0),
        ]
        let payload = TableCreatedPayload(
            tableName: "<img src=x>",
            timestamp: 0,
            objectType: .view,
            columns: columns,
            context: TableEventContext(origin: .external)
        )
        #expect(
            try text(.tableCreated(payload))
                == #"00:00:01.000  created   view "<img src=x>" (id INTEGER, "order by")  by another process"#
        )
    }

    @Test func `a renamed table shows its old name, and its new indexes`() throws {
        let change = SchemaModification(
            previousName: "a",
            objects: [SchemaObjectPayload(action: .added, kind: .index, name: "i")]
        )
        let payload = TableModifiedPayload(tableName: "b", timestamp: 0, change: .schema(change))
        #expect(
            try text(.tableModified(payload)) == """
                00:00:01.000  altered   b, before a
                                added index i
                """
        )
    }

    @Test func `what clients send cannot reach the terminal as escapes`() throws {
        let payload = UserPresencePayload(userID: "u", username: "\u{1B}[2Jada\n", connectedUsers: 2)
        #expect(try text(.userJoined(payload)) == "00:00:01.000  joined    ␛[2Jada↵  (2 connected)")
    }

    @Test func `columns are shown in the order of the table`() throws {
        let json = #"""
            {"id":"m","timestamp":1000,"type":"table:modified","channel":"tables","data":{"tableName":"t","timestamp":0,
            "change":"rows","inserted":1,"updated":0,"deleted":0,"rows":[{"op":"insert","key":{"rowid":1},"rowid":1,
            "after":{"type":"x","id":{"$int64":"9223372036854775807"},"a\"\u00e9":"}{","b":1}}]}}
            """#
        let lines = try #require(MessageLines(utcOffset: .zero).lines(Envelope(parsing: json.utf8), json))
        #expect(
            lines.last?.rendered(width: .max, .plain)
                == #"                + rowid=1 type='x' id=9223372036854775807 "a""é"='}{' b=1"#
        )
    }

    @Test func `heartbeats are not shown`() {
        #expect(MessageLines(utcOffset: .zero).lines(message(.heartbeat(HeartbeatPayload(timestamp: 0))), "") == nil)
    }

    @Test func `a line is cut at the terminal's edge, its escapes not counted`() throws {
        var line = StyledLine()
        line.append("abc", .red)
        line.append("def", .green)
        #expect(line.rendered(width: 6, .plain) == "abcdef")
        #expect(line.rendered(width: 5, .colors) == "\u{1B}[31mabc\u{1B}[0m\u{1B}[32md…\u{1B}[0m")
        #expect(line.rendered(width: 3, .plain) == "abc")
    }

    @Test(arguments: [
        ("track_2", "track_2"), ("Ηχώ", "Ηχώ"), ("2nd", "\"2nd\""), ("", "\"\""), ("a\"b", "\"a\"\"b\""),
        ("a\nb", "\"a↵b\""),
        ("🎷", "\"🎷\""),
    ])
    func `names are quoted where SQL would want it`(name: String, quoted: String) {
        #expect(SQLName.quoted(name) == quoted)
    }

    private func text(_ payload: ServerPayload) throws -> String {
        let message = message(payload)
        let json = String(decoding: message.json, as: UTF8.self)
        let lines = try #require(MessageLines(utcOffset: .zero).lines(message, json))
        return lines.map { $0.rendered(width: .max, .plain) }.joined(separator: "\n")
    }

    private func message(_ payload: ServerPayload) -> Envelope {
        Envelope(
            header: EnvelopeHeader(id: "m", timestamp: 1000, type: payload.type, channel: .tables),
            payload: payload
        )
    }
}
