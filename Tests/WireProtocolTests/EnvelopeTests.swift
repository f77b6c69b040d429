import Foundation
import Testing

@testable import WireProtocol

@Suite struct EnvelopeTests {
    static let position = Position(epoch: "e", sequence: 7)
    static let context = TableEventContext(
        subscription: "t1",
        userID: "u",
        username: "ada",
        queryID: "q",
        database: "shop.db",
        origin: .service,
        transaction: .init(position: position, isLast: true)
    )
    static let columns = [
        ColumnPayload(name: "id", type: "INTEGER", isNotNull: true, primaryKeyOrdinal: 1),
        ColumnPayload(
            name: "v",
            type: "",
            isNotNull: false,
            primaryKeyOrdinal: 0,
            defaultSQL: "'x'",
            generated: "stored"
        ),
    ]

    static let payloads: [ServerPayload] = [
        .connectionAck(
            ConnectionAckPayload(
                clientID: "c",
                connectedAt: 1,
                serverInfo: ServerInfo(version: "1", capabilities: ["a"]),
                heartbeatInterval: 30_000,
                database: "shop.db",
                position: position
            )
        ),
        .subscribed(SubscribedPayload(channel: .tables, subscription: "t1", position: position, recovered: false)),
        .subscribed(
            SubscribedPayload(channel: .tables, subscriptions: ["t1", "t2"], position: position, tables: ["a"])
        ),
        .unsubscribed(UnsubscribedPayload(channel: .queries)),
        .unsubscribed(UnsubscribedPayload(channel: .tables, subscription: "t1")),
        .snapshotEnd(
            SnapshotEndPayload(
                subscription: "t1",
                tables: ["a"],
                unreadable: [.init(table: "b", error: "no such collation sequence: c")],
                position: position
            )
        ),
        .transactionEnd(TransactionEndPayload(position: position)),
        .heartbeat(HeartbeatPayload(timestamp: 5)),
        .tokenRenewed(TokenRenewedPayload()), .tokenRenewed(TokenRenewedPayload(expiresAt: 5)),
        .error(ErrorPayload(message: "no", code: .busy, details: ["a": [1, nil]])),
        .tableCreated(
            TableCreatedPayload(
                tableName: "t",
                timestamp: 1,
                objectType: .table,
                sql: "x",
                columns: columns,
                context: context
            )
        ),
        .tableModified(
            TableModifiedPayload(
                tableName: "t",
                timestamp: 1,
                change: .schema(
                    SchemaModification(
                        previousName: "s",
                        sql: "y",
                        columns: columns,
                        objects: [SchemaObjectPayload(action: .added, kind: .index, name: "i", sql: "z")]
                    )
                ),
                context: context
            )
        ),
        .tableModified(
            TableModifiedPayload(
                tableName: "t",
                timestamp: 1,
                change: .rows(
                    RowsModification(
                        inserted: 1,
                        updated: 2,
                        deleted: 3,
                        rows: [
                            RowChangePayload(
                                operation: .update,
                                key: ["id": .integer(1)],
                                rowid: .max,
                                before: ["v": .null],
                                after: ["v": .blob([1])]
                            )
                        ],
                        rowsOmitted: false
                    )
                )
            )
        ),
        .tableDropped(TableDroppedPayload(tableName: "t", timestamp: 1, objectType: .view, context: context)),
        .tableSnapshot(
            TableSnapshotPayload(
                subscription: "t1",
                tableName: "t",
                columns: ["a"],
                key: ["a"],
                rows: [.object(["a": .integer(1)])],
                isLast: true
            )
        ),
        .queryStarted(QueryStartedPayload(queryID: "q", sql: "x", userID: "u", username: "ada", isReadOnly: true)),
        .queryProgress(QueryProgressPayload(queryID: "q", progress: 12.5, message: "m", rowCount: 1, elapsed: 2)),
        .queryRows(
            QueryRowsPayload(
                queryID: "q",
                statementIndex: 0,
                columns: ["a"],
                rows: [.array([.real(2)]), .object(["a": .null])],
                offset: 9
            )
        ),
        .queryComplete(
            QueryCompletePayload(
                queryID: "q",
                rowCount: 1,
                duration: 2,
                changes: 3,
                lastInsertRowID: .max,
                isTruncated: true,
                position: position,
                isInTransaction: false
            )
        ),
        .queryError(QueryErrorPayload(queryID: "q", error: "e", code: .sqlError, sqliteCode: 1, sqlOffset: 3)),
        .queryError(
            QueryErrorPayload(queryID: "q", error: "e", code: .busy, position: position, isInTransaction: false)
        ),
        .queryCancelled(QueryCancelledPayload(queryID: "q", reason: .timeout, rowCount: 1, duration: 2)),
        .queryCancelled(
            QueryCancelledPayload(queryID: "q", reason: .client, rowCount: 1, duration: 2, position: position)
        ),
        .userJoined(UserPresencePayload(userID: "u", username: "ada", connectedUsers: 1)),
        .userLeft(UserPresencePayload(userID: "u", username: "ada", connectedUsers: 0)),
        .userList(
            UserListPayload(users: [
                ConnectedUser(
                    userID: "u",
                    username: "ada",
                    joinedAt: 1,
                    cursor: .text(TextPosition(line: 1, column: 2), selection: nil)
                )
            ])
        ),
        .userCursor(
            UserCursorPayload(
                userID: "u",
                username: "ada",
                location: .cell(table: "t", row: .text("k"), column: "c")
            )
        ),
        .userCursor(
            UserCursorPayload(
                userID: "u",
                username: "ada",
                location: .text(TextPosition(line: 0, column: 1), selection: nil, in: .own("é\n"))
            )
        ),
        .userCursor(
            UserCursorPayload(
                userID: "u",
                username: "ada",
                location: .text(TextPosition(line: 0, column: 1), selection: nil, in: .ofUser("v"))
            )
        ),
        .custom(MessageType("app:hello"), ["x": [1, "y"]]),
    ]

    private func envelope(_ payload: ServerPayload) -> Envelope {
        let header = EnvelopeHeader(
            id: "m1",
            timestamp: 1_738_454_400_000,
            type: payload.type,
            channel: .tables,
            position: Self.position,
            replyTo: "r"
        )
        return Envelope(header: header, payload: payload)
    }

    @Test(arguments: payloads) func `a message that was written is read as it was`(payload: ServerPayload) throws {
        let envelope = envelope(payload)
        #expect(try Envelope(parsing: envelope.json) == envelope)
    }

    @Test(arguments: payloads) func `JSONDecoder and JSONEncoder agree`(payload: ServerPayload) throws {
        let envelope = envelope(payload)
        let encoded = try JSONEncoder().encode(envelope)
        // Foundation writes 2.0 as 2: compare the meaning of the JSON, and decode the original bytes.
        let ours = try JSONSerialization.jsonObject(with: Data(envelope.json)) as? NSDictionary
        #expect(try ours == JSONSerialization.jsonObject(with: encoded) as? NSDictionary)
        let decoded = try JSONDecoder().decode(Envelope.self, from: Data(envelope.json))
        #expect(try JSONSerialization.jsonObject(with: Data(decoded.json)) as? NSDictionary == ours)
    }

    @Test func `the five fields of the envelope are always there, the others only when set`() throws {
        let header = EnvelopeHeader(id: "m1", timestamp: 1, type: .heartbeat, channel: .notifications)
        let json = Envelope(header: header, payload: .heartbeat(HeartbeatPayload(timestamp: 1))).json
        let expected = #"{"id":"m1","timestamp":1,"type":"heartbeat","channel":"notifications","data":{"timestamp":1}}"#
        #expect(String(decoding: json, as: UTF8.self) == expected)
    }

    @Test func `rows from borrowed bytes make the same message as rows from values`() {
        let changes = Self.payloads.compactMap { payload -> (TableModifiedPayload, RowsModification)? in
            guard case .tableModified(let modified) = payload, case .rows(let rows) = modified.change else {
                return nil
            }
            return (modified, rows)
        }
        guard let (payload, counts) = changes.first else {
            Issue.record("no change of rows")
            return
        }
        var fromValues = JSONWriter()
        payload.write(to: &fromValues)
        var fromBytes = JSONWriter()
        payload.write(to: &fromBytes, counts: counts) { writer in
            for row in counts.rows ?? [] { row.write(to: &writer) }
        }
        #expect(fromBytes.bytes == fromValues.bytes)
    }

    @Test func `the error of a wrong message names the field`() throws {
        let json = #"{"id":"m","timestamp":1,"type":"heartbeat","channel":"notifications","data":{"timestamp":"x"}}"#
        let error = #expect(throws: DecodingError.self) { try Envelope(parsing: json.utf8) }
        #expect(error.map { "\($0)" }?.contains("timestamp") == true)
    }

    @Test(arguments: [
        ("id", "5"), ("timestamp", #""x""#), ("type", "null"), ("channel", #""x""#), ("position", "5"),
        ("position", #""x""#),
        ("replyTo", "5"),
    ])
    func `the error of a wrong header names the field`(field: String, value: String) throws {
        var fields = [
            "id": #""m""#, "timestamp": "1", "type": #""heartbeat""#, "channel": #""notifications""#,
            "data": #"{"timestamp":1}"#,
        ]
        fields[field] = value
        let json = "{\(fields.map { #""\#($0)":\#($1)"# }.joined(separator: ","))}"
        let error = #expect(throws: DecodingError.self) { try Envelope(parsing: json.utf8) }
        #expect(error.map { "\($0)" }?.contains(field) == true)
    }

    @Test func `ids are unique and need no allocation`() {
        let ids = (0..<10_000).map { _ in MessageID.next() }
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { $0.utf8.count <= 15 })
    }
}
