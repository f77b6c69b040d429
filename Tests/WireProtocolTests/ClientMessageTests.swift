import Testing
import WireProtocol

@Suite struct ClientMessageTests {
    private func parse(_ json: String) throws(ProtocolError) -> ClientMessage { try ClientMessage(parsing: json.utf8) }

    @Test func `a plain subscribe asks for everything`() throws {
        let message = try parse(#"{"id":"1","type":"subscribe","channel":"tables"}"#)
        #expect(message == ClientMessage(id: "1", .subscribe(SubscribeRequest(channel: .tables))))
    }

    @Test func `every field of subscribe is read`() throws {
        let message = try parse(
            #"{"type":"subscribe","channel":"tables","data":{"tables":["a*"],"operations":["insert","schema"],"rows":"values","since":"e:5","snapshot":false}}"#
        )
        let filter = try TableFilter(tables: ["a*"], operations: [.insert, .schema], rowLevel: .values)
        #expect(
            message.body
                == .subscribe(
                    SubscribeRequest(channel: .tables, filter: filter, since: Position(epoch: "e", sequence: 5))
                )
        )
    }

    @Test func `a list of subscriptions is read, in its order`() throws {
        let message = try parse(
            #"{"type":"subscribe","channel":"tables","data":{"subscriptions":[{"tables":["b"]},{},{"rows":"keys"}],"since":"e:5"}}"#
        )
        let filters = [try TableFilter(tables: ["b"]), .everything, try TableFilter(rowLevel: .keys)]
        let since = Position(epoch: "e", sequence: 5)
        #expect(message.body == .subscribe(SubscribeRequest(channel: .tables, subscriptions: filters, since: since)))
        let replacing = try parse(#"{"type":"subscribe","channel":"tables","data":{"replaces":"t1","snapshot":true}}"#)
        let expected = SubscribeRequest(channel: .tables, wantsSnapshot: true, replaces: "t1")
        #expect(replacing.body == .subscribe(expected))
        let ending = try parse(#"{"type":"unsubscribe","channel":"tables","data":{"subscription":"t1"}}"#)
        #expect(ending.body == .unsubscribe(.tables, subscription: "t1"))
    }

    @Test func `every field of a query is read`() throws {
        let message = try parse(
            #"{"type":"query:execute","data":{"sql":"SELECT ?","params":[1,1.0,"x",null,true,{"$int64":"9007199254740993"}],"queryId":"q","rowFormat":"arrays","maxRows":5,"timeout":100,"progressInterval":10.0,"atomic":false,"new":1}}"#
        )
        let query = QueryRequest(
            sql: "SELECT ?",
            parameters: .positional([
                .integer(1), .real(1), .text("x"), .null, .integer(1), .integer(9_007_199_254_740_993),
            ]),
            queryID: "q",
            rowFormat: .arrays,
            maxRows: 5,
            timeout: .milliseconds(100),
            progressInterval: .milliseconds(10),
            isAtomic: false
        )
        #expect(message.body == .executeQuery(query))
        #expect(
            try QueryRequest(parsing: #"{"sql":"x","params":{":a":1}}"#.utf8).parameters == .named([":a": .integer(1)])
        )
    }

    @Test func `the other messages are read`() throws {
        #expect(try parse(#"{"type":"unsubscribe","channel":"queries"}"#).body == .unsubscribe(.queries))
        #expect(
            try parse(
                #"{"type":"row:write","data":{"table":"t","op":"update","key":{"id":null},"rowid":{"$int64":"9007199254740993"},"before":{"v":1.5},"values":{"v":"x"},"queryId":"q","timeout":5}}"#
            ).body
                == .writeRow(
                    RowWriteRequest(
                        table: "t",
                        operation: .update,
                        key: ["id": .null],
                        rowid: 9_007_199_254_740_993,
                        before: ["v": .real(1.5)],
                        values: ["v": .text("x")],
                        queryID: "q",
                        timeout: .milliseconds(5)
                    )
                )
        )
        #expect(try parse(#"{"type":"query:cancel","data":{"queryId":"q"}}"#).body == .cancelQuery(id: "q"))
        #expect(try parse(#"{"type":"user:identify","data":{"username":"ada"}}"#).body == .identify(username: "ada"))
        #expect(try parse(#"{"type":"heartbeat"}"#).body == .heartbeat())
        let text = try parse(
            #"{"type":"user:cursor","data":{"position":{"line":1,"column":2},"selection":{"start":{"line":1,"column":0},"end":{"line":1,"column":2}}}}"#
        )
        let selection = TextSelection(start: TextPosition(line: 1, column: 0), end: TextPosition(line: 1, column: 2))
        #expect(text.body == .cursor(.text(TextPosition(line: 1, column: 2), selection: selection)))
        let own = try parse(#"{"type":"user:cursor","data":{"position":{"line":0,"column":8},"text":"SELECT 1"}}"#)
        #expect(own.body == .cursor(.text(TextPosition(line: 0, column: 8), selection: nil, in: .own("SELECT 1"))))
        let other = try parse(#"{"type":"user:cursor","data":{"position":{"line":0,"column":8},"textOf":"u7"}}"#)
        #expect(other.body == .cursor(.text(TextPosition(line: 0, column: 8), selection: nil, in: .ofUser("u7"))))
        let cell = try parse(#"{"type":"user:cursor","data":{"table":"t","row":5,"column":"c"}}"#)
        #expect(cell.body == .cursor(.cell(table: "t", row: .integer(5), column: "c")))
    }

    @Test(arguments: [
        ("nonsense", "INVALID_MESSAGE", "not JSON at byte 1"),
        ("[]", "INVALID_MESSAGE", "expected an object, found an array"),
        (#"{"id":5,"type":"heartbeat"}"#, "INVALID_MESSAGE", "id: expected a string"),
        ("{}", "INVALID_MESSAGE", "type: expected a string, found nothing"),
        (
            #"{"type":"table:create"}"#, "UNKNOWN_TYPE",
            #"unknown type "table:create": expected one of subscribe, unsubscribe"#
        ),
        (#"{"type":"table:created"}"#, "UNKNOWN_TYPE", "unknown type"),
        (
            #"{"type":"subscribe"}"#, "INVALID_MESSAGE",
            "channel: expected one of queries, tables, notifications, collaboration, found nothing"
        ),
        (
            #"{"type":"subscribe","channel":"tabels"}"#, "UNKNOWN_CHANNEL",
            "expected one of queries, tables, notifications, collaboration"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":[]}"#, "INVALID_MESSAGE",
            "data: expected an object, found an array"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"tables":"t"}}"#, "INVALID_MESSAGE",
            #"data.tables: expected an array of strings, found the string "t""#
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"tables":["t",5]}}"#, "INVALID_MESSAGE",
            "data.tables[1]: expected a string, found the number 5"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"tables":[]}}"#, "INVALID_MESSAGE",
            "data.tables: expected 1 to 64 names, found 0"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"operations":["upsert"]}}"#, "INVALID_MESSAGE",
            #"data.operations: unknown operation "upsert": expected one of insert, update, delete, schema"#
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"rows":"all"}}"#, "INVALID_MESSAGE",
            #"data.rows: expected one of "none", "keys", "values", found the string "all""#
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"since":"5"}}"#, "INVALID_MESSAGE",
            "data.since: expected a position"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"since":"e:5","snapshot":true}}"#, "INVALID_MESSAGE",
            "data.snapshot: expected either since or snapshot"
        ),
        (#"{"type":"query:execute","data":{}}"#, "INVALID_MESSAGE", "data.sql: expected a string, found nothing"),
        (
            #"{"type":"query:execute","data":{"sql":"x","params":5}}"#, "INVALID_MESSAGE",
            "data.params: expected an array or an object, found the number 5"
        ),
        (
            #"{"type":"query:execute","data":{"sql":"x","params":[[1]]}}"#, "INVALID_MESSAGE",
            "data.params[0]: expected null, a number"
        ),
        (
            #"{"type":"query:execute","data":{"sql":"x","timeout":-1}}"#, "INVALID_MESSAGE",
            "data.timeout: expected a non-negative integer, found the number -1"
        ),
        (
            #"{"type":"query:execute","data":{"sql":"x","atomic":1}}"#, "INVALID_MESSAGE",
            "data.atomic: expected true or false"
        ),
        (
            #"{"type":"query:cancel"}"#, "INVALID_MESSAGE",
            "data.queryId: expected a string that is not empty, found nothing"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"upsert"}}"#, "INVALID_MESSAGE",
            "data.op: expected one of \"insert\", \"update\", \"delete\", found"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"update","key":{"id":1}}}"#, "INVALID_MESSAGE",
            "data.values: expected an object with at least one column, found nothing"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"delete"}}"#, "INVALID_MESSAGE",
            "data.key: expected an object with the columns of the primary key"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"insert","key":{"id":1}}}"#, "INVALID_MESSAGE",
            "data.key: expected none for an insert, whose values contain the key"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"delete","rowid":1,"values":{"a":1}}}"#, "INVALID_MESSAGE",
            "data.values: expected none for a delete"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"delete","rowid":"1"}}"#, "INVALID_MESSAGE",
            "data.rowid: expected a whole number"
        ),
        (
            #"{"type":"row:write","data":{"table":"t","op":"insert","values":{"a":[1]}}}"#, "INVALID_MESSAGE",
            "data.values.a: expected null, a number"
        ),
        (
            #"{"type":"user:identify","data":{"username":""}}"#, "INVALID_MESSAGE",
            "data.username: expected a string that is not empty"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"tables":["a"],"where":1}}"#, "INVALID_MESSAGE",
            "data.where: expected a string"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"tables":["a"],"where":"x=?","params":[[]]}}"#,
            "INVALID_MESSAGE", "data.params[0]"
        ),
        (
            #"{"type":"subscribe","channel":"tables","data":{"subscriptions":[{"tables":["a"],"where":1}]}}"#,
            "INVALID_MESSAGE", "data.subscriptions[0].where: expected"
        ),
        (#"{"type":"heartbeat","data":{"afterReplay":1}}"#, "INVALID_MESSAGE", "data.afterReplay: expected true or"),
        (
            #"{"type":"user:cursor","data":{"position":{"line":1,"column":0},"table":1}}"#, "INVALID_MESSAGE",
            "data.table: expected a string"
        ),
        (#"{"type":"user:cursor","data":{}}"#, "INVALID_MESSAGE", "data.position: expected {line, column}, or table"),
        (
            #"{"type":"user:cursor","data":{"position":{"line":1,"column":0},"text":"a","textOf":"b"}}"#,
            "INVALID_MESSAGE", "data.textOf: expected either this or text, found both"
        ),
        (
            #"{"type":"user:cursor","data":{"position":{"line":1,"column":0},"text":""#
                + String(repeating: "x", count: 16_385) + #""}}"#, "INVALID_MESSAGE", "data.text: expected"
        ),
        (
            #"{"type":"user:cursor","data":{"position":{"line":-1,"column":0}}}"#, "INVALID_MESSAGE",
            "data.position.line: expected a non-negative integer"
        ),
    ])
    func `a wrong message is refused with the field, what was found and what was expected`(
        json: String,
        code: String,
        message: String
    ) {
        let error = #expect(throws: ProtocolError.self) { try parse(json) }
        #expect(error?.code.rawValue == code)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("data.data") == false, "\(error?.message ?? "")")
    }

    @Test func `an error carries the id of the message at fault`() {
        let error = #expect(throws: ProtocolError.self) { try parse(#"{"id":"m7","type":"query:execute"}"#) }
        #expect(error?.requestID == "m7")
    }

    @Test func `the values of an address are read like a subscribe`() throws {
        let requests = try SubscribeRequest.parse(
            channels: "tables,queries,tables",
            tables: "a,b*",
            rows: "keys",
            since: "e:1"
        )
        let filter = try TableFilter(tables: ["a", "b*"], rowLevel: .keys)
        #expect(
            requests == [
                SubscribeRequest(channel: .tables, filter: filter, since: Position(epoch: "e", sequence: 1)),
                SubscribeRequest(channel: .queries),
            ]
        )
        #expect(throws: ProtocolError.self) { try SubscribeRequest.parse(channels: "nope") }
        #expect(throws: ProtocolError.self) { try SubscribeRequest.parse(channels: "tables", rows: "nope") }
        let position = #expect(throws: ProtocolError.self) {
            try SubscribeRequest.parse(channels: "tables", since: "zz")
        }
        #expect(position?.message.hasPrefix("since: ") == true, "\(position?.message ?? "")")
        let none = #expect(throws: ProtocolError.self) { try SubscribeRequest.parse(channels: "") }
        #expect(none?.message.hasPrefix("channels: expected at least one of ") == true, "\(none?.message ?? "")")
    }
}
