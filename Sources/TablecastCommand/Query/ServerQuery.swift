import Synchronization
import TablecastClient
import WireProtocol

/// Performs the actions of a ``QuerySession``, over one connection.
///
/// Two tasks share it: one reads the server's messages, the other waits for Ctrl-C. Decisions are made under the lock,
/// and their effects happen outside of it: a slow reader of stdout, such as a pager, does not delay a cancel.
final class ServerQuery<Connection: QueryConnection>: Sendable {
    private let session: Mutex<QuerySession>
    private let connection: Connection
    private let status = StatusLine()

    init(_ session: QuerySession, _ connection: Connection) {
        self.session = Mutex(session)
        self.connection = connection
    }

    /// Reads until the query is over.
    func converse() async throws -> QuerySession.Outcome {
        defer { status.clear() }
        do {
            for try await message in connection.messages {
                let actions = session.withLock { $0.received(message.envelope) }
                if let outcome = try await perform(actions) { return outcome }
            }
        } catch let error as TablecastClientError {
            throw CommandFailure(.protocolError, "\(error)")
        }
        throw CommandFailure(
            .unavailable,
            "the connection was lost before the query ended (\(await connection.end))",
            advice: "The server rolls back the uncommitted work of a lost client."
        )
    }

    /// Handles Ctrl-C: requests the cancellation; the second time ends at once.
    func interrupt() async throws -> QuerySession.Outcome? {
        try await perform(session.withLock { $0.interrupt() })
    }

    private func perform(_ actions: [QuerySession.Action]) async throws -> QuerySession.Outcome? {
        for action in actions {
            switch action {
            case .send(let message):
                try await connection.send(message)
            case .print(let text):
                status.clear()
                guard try Terminal.output.write(text) else {
                    // The reader has disconnected, as after `| head`.
                    return .complete(summary: "")
                }
            case .progress(let bar):
                status.show { bar.line(width: $0, palette: $1) }
            case .finish(let outcome):
                return outcome
            }
        }
        return nil
    }
}

/// The state of `query` for the messages of its connection: decides on actions, and the caller performs them.
struct QuerySession: Sendable {
    enum Action: Sendable, Hashable {
        case send(ClientMessage)
        /// Result rows, for stdout.
        case print(String)
        /// The current progress, for the line on stderr.
        case progress(ProgressBar)
        case finish(Outcome)
    }

    enum Outcome: Sendable, Hashable {
        case complete(summary: String)
        case failed(message: String, status: ExitReason)
        case cancelled(message: String)
    }

    let queryID: String
    private var request: QueryRequest
    private var printer: ResultPrinter
    private let errorWidth: Int
    private let palette: Palette
    private var hasAsked = false
    private var wasInterrupted = false

    /// - Parameters:
    ///   - palette: The palette of stderr, where errors are printed.
    init(
        queryID: String,
        request: QueryRequest,
        printer: ResultPrinter,
        palette: Palette,
        errorWidth: Int
    ) {
        self.queryID = queryID
        self.printer = printer
        self.palette = palette
        self.errorWidth = errorWidth
        self.request = request
        self.request.queryID = queryID
    }

    mutating func received(_ message: Envelope) -> [Action] {
        switch message.payload {
        case .connectionAck where !hasAsked:
            hasAsked = true
            return [.send(ClientMessage(id: queryID, .executeQuery(request)))]
        case .queryRows(let batch) where batch.queryID == queryID:
            return printing(printer.append(batch))
        case .queryProgress(let progress) where progress.queryID == queryID:
            let bar = ProgressBar(
                percentage: progress.progress,
                rowCount: progress.rowCount,
                elapsed: .milliseconds(progress.elapsed),
                message: progress.message
            )
            return printing(printer.flush()) + [.progress(bar)]
        case .queryComplete(let complete) where complete.queryID == queryID:
            return printing(printer.flush()) + [.finish(outcome(complete))]
        case .queryError(let error) where error.queryID == queryID:
            return printing(printer.flush()) + [.finish(failure(error))]
        case .queryCancelled(let cancelled) where cancelled.queryID == queryID:
            return printing(printer.flush()) + [.finish(outcome(cancelled))]
        case .error(let error) where message.header.replyTo == queryID:
            return [.finish(.failed(message: "\(error.message) (\(error.code))", status: ExitReason(error.code)))]
        default:
            return []
        }
    }

    /// Handles Ctrl-C.
    mutating func interrupt() -> [Action] {
        guard hasAsked, !wasInterrupted else { return [.finish(.cancelled(message: "interrupted"))] }
        wasInterrupted = true
        return [.send(ClientMessage(.cancelQuery(id: queryID)))]
    }

    private func printing(_ text: String) -> [Action] { text.isEmpty ? [] : [.print(text)] }

    private func outcome(_ complete: QueryCompletePayload) -> Outcome {
        guard complete.isInTransaction == true else { return .complete(summary: summary(complete)) }
        // The query ends with the connection, and so with the command.
        return .failed(
            message: """
                the SQL left a transaction open, and it was rolled back: end it with COMMIT, or omit BEGIN \
                (\(ErrorCode.transactionLeftOpen))
                """,
            status: .failure
        )
    }

    private func summary(_ complete: QueryCompletePayload) -> String {
        var text = complete.summary
        if complete.isTruncated == true { text += ", truncated at the limit" }
        if let position = complete.position { text += ", committed as \(position)" }
        return text
    }

    private func failure(_ error: QueryErrorPayload) -> Outcome {
        var message = "\(error.error) (\(error.code))"
        if let offset = error.sqlOffset,
            let place = SQLExcerpt(sql: request.sql, offset: offset, width: errorWidth - 10)
        {
            message += "\n" + place.rendered(palette)
        }
        return .failed(message: message, status: ExitReason(error.code))
    }

    private func outcome(_ cancelled: QueryCancelledPayload) -> Outcome {
        let what = """
            cancelled after \(Figures.seconds(.milliseconds(cancelled.duration))) \
            and \(Figures.counted(cancelled.rowCount, "row"))
            """
        if wasInterrupted { return .cancelled(message: what) }
        let reason =
            switch cancelled.reason {
            case .client: "requested by another client"
            case .timeout: "its timeout expired"
            case .disconnect: "the connection was lost"
            case .shutdown: "the server is shutting down"
            default: cancelled.reason.rawValue
            }
        return .failed(message: "\(what): \(reason)", status: .failure)
    }
}

/// The connection of a query: the protocol's messages in both directions. May be used from any task.
protocol QueryConnection: Sendable {
    associatedtype Messages: AsyncSequence & Sendable where Messages.Element == ReceivedMessage

    /// For one reader, up to the end of the connection.
    var messages: Messages { get }
    func send(_ message: ClientMessage) async throws(TablecastClientError)
    /// Why there are no more messages.
    var end: String { get async }
    func close() async
}

extension ClientConnection: QueryConnection {
    var end: String {
        get async { await failure.message }
    }
}
