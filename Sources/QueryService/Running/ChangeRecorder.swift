import ChangeCapture
import SQLiteConnection

/// Turns what the writer's connection does into change sets; the writer tells it where statements and transactions begin
/// and end, and its hooks see the rest.
///
/// Belongs to the writer's thread. A new one is made for every connection.
protocol ChangeRecorder: AnyObject {
    /// Sees every action before the policy does; true when the statement is the recorder's own, which no policy concerns.
    func observe(_ request: borrowing AuthorizerRequest) -> Bool
    /// A statement is about to run.
    func statementWillRun() throws(SQLiteError)
    /// It ended; an error can have undone its rows without a word from any hook.
    func statementDidRun(failed: Bool)
    /// The transaction is about to be committed, and can still read what may have been undone.
    func transactionWillCommit() throws(SQLiteError)
    /// The commit is durable and the connection is back in autocommit.
    func transactionDidCommit() throws(SQLiteError) -> ChangeSet
    func transactionDidRollBack()
}

/// Records nothing.
final class NoChangeRecorder: ChangeRecorder {
    func observe(_ request: borrowing AuthorizerRequest) -> Bool { false }
    func statementWillRun() {}
    func statementDidRun(failed: Bool) {}
    func transactionWillCommit() {}
    func transactionDidCommit() -> ChangeSet { ChangeSet(origin: .service, events: []) }
    func transactionDidRollBack() {}
}
