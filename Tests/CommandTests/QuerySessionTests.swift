import Testing
import WireProtocol

@testable import TablecastCommand

struct QuerySessionTests {
    private let session = QuerySession(
        queryID: "q",
        request: QueryRequest(sql: "SELECT x FORM t"),
        printer: ResultPrinter(format: .csv, palette: .plain),
        palette: .plain,
        errorWidth: 80
    )

    @Test func `the query is sent once the server acknowledged the connection`() throws {
        var session = session
        let actions = session.received(acknowledgement)
        let request = QueryRequest(sql: "SELECT x FORM t", queryID: "q")
        #expect(actions == [.send(ClientMessage(id: "q", .executeQuery(request)))])
        #expect(session.received(acknowledgement).isEmpty)
    }

    @Test func `rows are printed and the end is summed up`() {
        var session = session
        let batch = QueryRowsPayload(
            queryID: "q",
            statementIndex: 0,
            columns: ["a", "b"],
            rows: [.array([.integer(1), .null])],
            offset: 0
        )
        #expect(session.received(message(.queryRows(batch))) == [.print("a,b\n1,\n")])
        let complete = QueryCompletePayload(queryID: "q", rowCount: 1, duration: 12, changes: 0)
        #expect(session.received(message(.queryComplete(complete))) == [.finish(.complete(summary: "1 row in 12 ms"))])
    }

    @Test func `an error shows its place in the SQL`() {
        var session = session
        let error = QueryErrorPayload(queryID: "q", error: "near \"t\": syntax error", code: .sqlError, sqlOffset: 14)
        let expected = """
            near "t": syntax error (SQL_ERROR)
              SELECT x FORM t
                            ^
            """
        #expect(
            session.received(message(.queryError(error))) == [.finish(.failed(message: expected, status: .failure))]
        )
    }

    @Test func `an interrupt cancels on the server first, a second one gives up`() {
        var session = session
        _ = session.received(acknowledgement)
        let first = session.interrupt()
        #expect(first == [.send(ClientMessage(.cancelQuery(id: "q")))])
        let cancelled = QueryCancelledPayload(queryID: "q", reason: .client, rowCount: 2, duration: 1500)
        let end = session.received(message(.queryCancelled(cancelled)))
        #expect(end == [.finish(.cancelled(message: "cancelled after 1.5 s and 2 rows"))])
        let second = session.interrupt()
        #expect(second == [.finish(.cancelled(message: "interrupted"))])
    }

    @Test func `a query that another client cancelled has failed`() {
        var session = session
        let cancelled = QueryCancelledPayload(queryID: "q", reason: .client, rowCount: 0, duration: 5)
        let expected = "cancelled after 5 ms and 0 rows: requested by another client"
        #expect(
            session.received(message(.queryCancelled(cancelled))) == [
                .finish(.failed(message: expected, status: .failure))
            ]
        )
    }

    @Test func `SQL that leaves a transaction open has failed`() {
        var session = session
        let complete = QueryCompletePayload(queryID: "q", rowCount: 0, duration: 5, changes: 1, isInTransaction: true)
        guard case .finish(.failed(let message, .failure))? = session.received(message(.queryComplete(complete))).last
        else {
            Issue.record("it is no failure")
            return
        }
        #expect(message.contains("(TRANSACTION_LEFT_OPEN)"))
    }

    @Test func `other queries are none of its business`() {
        var session = session
        let complete = QueryCompletePayload(queryID: "another", rowCount: 1, duration: 12, changes: 0)
        #expect(session.received(message(.queryComplete(complete))).isEmpty)
    }

    @Test func `JSON lines keep the order of the columns, and name each of them once`() {
        var printer = ResultPrinter(format: .json, palette: .plain)
        let batch = QueryRowsPayload(
            queryID: "q",
            statementIndex: 0,
            columns: ["z", "a", "a"],
            rows: [.array([.integer(.max), .text("\n"), .blob([1])])],
            offset: 0
        )
        let text = printer.append(batch)
        #expect(text == #"{"z":{"$int64":"9223372036854775807"},"a":"\n","a:1":{"$base64":"AQ=="}}"# + "\n")
    }

    @Test func `a blank line parts the results of two statements`() {
        var printer = ResultPrinter(format: .table(lineWidth: 80), palette: .plain)
        var text = ""
        for index in 0...1 {
            text += printer.append(
                QueryRowsPayload(
                    queryID: "q",
                    statementIndex: index,
                    columns: ["a"],
                    rows: [.array([.integer(1)])],
                    offset: 0
                )
            )
        }
        #expect(text + printer.flush() == "a\n─\n1\n\na\n─\n1\n")
    }

    private var acknowledgement: Envelope {
        message(
            .connectionAck(
                ConnectionAckPayload(
                    clientID: "c",
                    connectedAt: 0,
                    serverInfo: ServerInfo(version: "1", capabilities: []),
                    heartbeatInterval: 30_000
                )
            )
        )
    }

    private func message(_ payload: ServerPayload) -> Envelope {
        Envelope(header: EnvelopeHeader(id: "m", timestamp: 0, type: payload.type, channel: .queries), payload: payload)
    }
}
