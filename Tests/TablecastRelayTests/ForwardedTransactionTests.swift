import Testing
import WireProtocol

@testable import TablecastRelay

/// Which requests a relay refuses in place of its source.
struct ForwardedTransactionTests {
    private var transaction = ForwardedTransaction()

    private static let lost = ProtocolError(.databaseGone, "lost")

    private func request(_ sql: String, id: String? = nil) throws -> ForwardedRequest {
        try #require(ForwardedRequest(ClientMessage(id: id ?? sql, .executeQuery(QueryRequest(sql: sql)))))
    }

    private mutating func admit(_ sqls: String...) throws {
        for sql in sqls {
            let refusal = try transaction.admit(request(sql))
            #expect(refusal == nil)
        }
    }

    private mutating func run(_ sql: String, inTransaction: Bool) throws {
        try admit(sql)
        transaction.answered(sql, .completed(inTransaction: inTransaction))
    }

    // The macro cannot call mutating methods.

    private mutating func refuses(_ sql: String) throws {
        let refusal = try transaction.admit(request(sql))
        #expect(refusal != nil)
    }

    private mutating func leaves(_ expected: Bool) {
        let found = transaction.leaveConnection()
        #expect(found == expected)
    }

    private mutating func lose(wasOpen: Bool = true) -> ForwardedTransaction.Loss {
        transaction.connectionLost(Self.lost, wasOpen: wasOpen)
    }

    @Test mutating func `nothing is refused after the loss of a connection without a transaction`() throws {
        try run("INSERT", inTransaction: false)
        try admit("INSERT 2", "BEGIN; INSERT; COMMIT")
        let loss = lose()
        #expect(loss.notice == nil)
        #expect(loss.failures.map(\.wasInTransaction) == [false, false])
        #expect(loss.failures.allSatisfy { $0.error.message.contains("not known") })
        try admit("INSERT")
    }

    @Test mutating func `an open transaction is lost with its connection`() throws {
        try run("BEGIN", inTransaction: true)
        let loss = lose()
        #expect(loss.notice?.message == "lost, and your transaction was rolled back")
        try refuses("SELECT 1")
        // The connection of the refused request.
        let next = lose()
        #expect(next.notice == nil)
        try refuses("COMMIT")
        try admit("SELECT 1")
    }

    @Test(arguments: ["BEGIN", "SAVEPOINT a", "INSERT; BEGIN", "COMMIT; BEGIN"])
    mutating func `a transaction may have begun without an answer`(sql: String) throws {
        try admit(sql)
        let loss = lose()
        #expect(loss.failures.map(\.wasInTransaction) == [true])
        try refuses("INSERT")
        try admit("BEGIN")
        try admit("INSERT")
    }

    @Test mutating func `a transaction is over with a commit without an answer`() throws {
        try run("BEGIN", inTransaction: true)
        try admit("INSERT", "COMMIT", "INSERT 2")
        let loss = lose()
        #expect(loss.notice == nil)
        let errors = Dictionary(uniqueKeysWithValues: loss.failures.map { ($0.request.id, $0.error.message) })
        #expect(errors["COMMIT"] == "lost; it is not known whether your transaction was committed")
        #expect(errors["INSERT"] == errors["COMMIT"])
        #expect(errors["INSERT 2"] == "lost; it is not known whether the request took effect")
        try admit("INSERT")
    }

    @Test mutating func `no transaction was rolled back over a connection that was never open`() throws {
        try admit("BEGIN", "INSERT")
        let loss = lose(wasOpen: false)
        #expect(loss.notice == nil)
        #expect(loss.failures.allSatisfy { !$0.error.message.contains("rolled back") })
        try refuses("COMMIT")
        try admit("INSERT")
    }

    @Test mutating func `a read that was sent before BEGIN does not end the transaction`() throws {
        try admit("SELECT slow", "BEGIN")
        transaction.answered("BEGIN", .completed(inTransaction: true))
        transaction.answered("SELECT slow", .completed(inTransaction: false))
        let loss = lose()
        #expect(loss.notice != nil)
    }

    @Test mutating func `a commit that a limit refuses leaves the transaction open`() throws {
        try run("BEGIN", inTransaction: true)
        try admit("COMMIT")
        transaction.answered("COMMIT", .failed(ProtocolError(.tooManyQueries, "no"), inTransaction: nil))
        try admit("COMMIT")
        transaction.answered("COMMIT", .cancelled(inTransaction: nil))
        let loss = lose()
        #expect(loss.notice != nil)
    }

    @Test mutating func `what the source refuses, the relay refuses after the loss of the connection`() throws {
        try run("BEGIN", inTransaction: true)
        transaction.ended(ProtocolError(.transactionTimedOut, "idle"))
        // The source answers.
        try admit("INSERT")
        let loss = lose()
        #expect(loss.notice == nil)
        #expect(loss.failures.map(\.error.code) == [.transactionTimedOut])
        let refusal = try transaction.admit(request("ROLLBACK"))
        #expect(refusal?.code == .transactionTimedOut)
        try admit("INSERT")
    }

    @Test mutating func `an error that rolls back ends the transaction when COMMIT is answered`() throws {
        try run("BEGIN", inTransaction: true)
        try admit("INSERT", "COMMIT")
        transaction.answered("INSERT", .failed(ProtocolError(.databaseError, "full"), inTransaction: false))
        transaction.answered("COMMIT", .failed(ProtocolError(.transactionRolledBack, "over"), inTransaction: nil))
        let loss = lose()
        #expect(loss.notice == nil)
        try admit("INSERT")
    }

    @Test mutating func `requests behind a BEGIN that was not forwarded are refused`() throws {
        let (error, isOfTransaction) = try transaction.refuse(request("BEGIN"), Self.lost)
        #expect(isOfTransaction && error.message.hasPrefix("lost; everything fails"))
        try refuses("INSERT")
        try refuses("COMMIT")
        try admit("INSERT")
        let (_, isLater) = try transaction.refuse(request("INSERT 2"), Self.lost)
        #expect(!isLater)
        try admit("INSERT")
    }

    @Test mutating func `a client leaves a source only without an open transaction`() throws {
        try admit("BEGIN")
        leaves(false)
        transaction.answered("BEGIN", .completed(inTransaction: true))
        leaves(false)
        transaction.ended(ProtocolError(.databaseGone, "gone"))
        leaves(true)
        try refuses("COMMIT")
    }
}
