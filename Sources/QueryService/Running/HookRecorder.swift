import ChangeCapture
import SQLiteConnection

/// Records through the pre-update hook, at the level that the commit sink asks for when a transaction begins.
///
/// Belongs to the writer's thread.
final class HookRecorder: ChangeRecorder {
    private let capture: HookCapture
    private let sink: any CommitSink

    init(_ connection: Connection, for sink: any CommitSink) throws(SQLiteError) {
        self.sink = sink
        capture = try HookCapture(connection, level: sink.captureLevel)
    }

    func observe(_ request: borrowing AuthorizerRequest) -> Bool { capture.observe(request) }

    func statementWillRun() throws(SQLiteError) {
        capture.level = sink.captureLevel
        try capture.statementWillRun()
    }

    func statementDidRun(failed: Bool) { capture.statementDidRun(failed: failed) }
    func transactionWillCommit() throws(SQLiteError) { try capture.transactionWillCommit() }
    func transactionDidCommit() -> ChangeSet { capture.transactionDidCommit() }
    func transactionDidRollBack() { capture.transactionDidRollBack() }
}
