import NIOCore
import TablecastClient
import WireProtocol

/// Passes the messages of the successive connections to the session, and performs its actions. Confined to the event loop: a task in
/// between would cost two wake-ups for each transaction.
///
/// While the source reports that it is cut off from the database itself, it looks for another one.
final class SourceReader {
    /// Finds another source that can continue, for which this one is closed; nil for none.
    typealias FindReplacement = @Sendable (SourceSession) async -> Int?

    private struct Connection {
        let requests: RequestQueue
        let maxAbsence: Duration
        let findReplacement: FindReplacement
    }

    private let receiver: any SourceReceiver
    private let eventLoop: any EventLoop
    private var session: SourceSession
    /// Nil when there is none.
    private var connection: Connection?
    /// Why the relay has closed the current or the last connection.
    private(set) var failure: RelayError?
    private var replacement: Int?
    /// While the source is away.
    private var search: Scheduled<Void>?
    /// Of the last absence: the answer to an earlier one is ignored.
    private var absenceNumber = 0

    init(_ session: SourceSession, _ receiver: any SourceReceiver, on eventLoop: any EventLoop) {
        self.session = session
        self.receiver = receiver
        self.eventLoop = eventLoop
    }

    var id: String { session.id }

    /// - Parameter maxAbsence: how long the source may be away before another one is looked for.
    func begin(
        _ source: TablecastClient,
        _ requests: RequestQueue,
        maxAbsence: Duration,
        _ findReplacement: @escaping FindReplacement
    ) {
        connection = Connection(requests: requests, maxAbsence: maxAbsence, findReplacement: findReplacement)
        failure = nil
        session.connected()
        receiver.connected(to: source, requests)
    }

    /// What is still received is ignored.
    func end() {
        connection = nil
        endAbsence()
    }

    /// The source for which the last connection was closed.
    func takeReplacement() -> Int? { replacement.take() }

    /// False when the connection must be closed.
    func received(_ message: Result<Envelope, TablecastClientError>) -> Bool {
        guard let connection, failure == nil else { return false }
        switch message {
        case .success(let envelope):
            for action in session.received(envelope) {
                failure = perform(action, connection.requests)
                if failure != nil { return false }
            }
            if session.sourceIsAway != (search != nil) { noteAbsence(connection) }
            return true
        case .failure(let error):
            failure = .connection(error)
            return false
        }
    }

    private func perform(_ action: SourceSession.Action, _ requests: RequestQueue) -> RelayError? {
        switch action {
        case .send(let request):
            // A connection that takes no requests ends, and the next one begins again.
            if !requests.append(request) { requests.finish() }
            return nil
        case .stop(let error): return error
        default: return receiver.perform(action, database: session.database) ? nil : .protocolViolation
        }
    }

    // MARK: A source that is away

    private func noteAbsence(_ connection: Connection) {
        endAbsence()
        if session.sourceIsAway { scheduleSearch(connection) }
    }

    private func endAbsence() {
        search?.cancel()
        search = nil
        absenceNumber += 1
    }

    private func scheduleSearch(_ connection: Connection) {
        let number = absenceNumber
        search = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(connection.maxAbsence)) {
            let target = NIOLoopBound(self, eventLoop: self.eventLoop)
            let (session, eventLoop) = (self.session, self.eventLoop)
            Task {
                let found = await connection.findReplacement(session)
                eventLoop.execute { target.value.found(found, duringAbsence: number) }
            }
        }
    }

    private func found(_ found: Int?, duringAbsence number: Int) {
        guard number == absenceNumber, let connection, failure == nil else { return }
        guard let found else { return scheduleSearch(connection) }
        replacement = found
        failure = .sourceAway
        connection.requests.finish()
    }
}
