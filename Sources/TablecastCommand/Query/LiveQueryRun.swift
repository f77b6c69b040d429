import NIOCore
import UnixSignals
import WebSocketTransport
import WireProtocol

/// Performs the actions of a ``LiveQuerySession``, over one connection, until Ctrl-C.
struct LiveQueryRun: Sendable {
    /// Moves the cursor home and erases everything after it: the new rows replace the previous ones.
    private static let redraw = "\u{1B}[H\u{1B}[2J"

    let connection: WebSocketConnection

    func run(_ session: LiveQuerySession) async throws -> QuerySession.Outcome {
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: QuerySession.Outcome?.self) { group in
            group.addTask { try await converse(session) }
            group.addTask {
                for await _ in interrupts { return .complete(summary: "") }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            return .complete(summary: "")
        }
    }

    private func converse(_ session: LiveQuerySession) async throws -> QuerySession.Outcome {
        var session = session
        var isFirst = true
        for await text in connection.messages {
            let message: Envelope
            do {
                message = try Envelope(parsing: text.utf8)
            } catch {
                throw CommandFailure(.protocolError, "unknown message from the server: \(error)")
            }
            for action in session.received(message) {
                switch action {
                case .send(let json):
                    try await connection.send(String(decoding: json, as: UTF8.self))
                case .show(let rows):
                    let separator = Terminal.output.isInteractive ? Self.redraw : isFirst ? "" : "\n"
                    isFirst = false
                    guard try Terminal.output.write(separator + rows) else { return .complete(summary: "") }
                case .printMessage:
                    guard try Terminal.output.writeLine(text) else { return .complete(summary: "") }
                case .finish(let outcome):
                    return outcome
                }
            }
        }
        let closed = await connection.status
        throw CommandFailure(
            .unavailable,
            "the connection was lost (code \(closed.code)\(closed.reason.isEmpty ? "" : ", \(closed.reason)"))"
        )
    }
}

/// The state of `query --live` for the messages of its connection: decides on actions, and the caller performs them.
struct LiveQuerySession: Sendable {
    enum Action: Sendable, Hashable {
        case send([UInt8])
        /// Print rows to stdout; on a terminal they replace the previous ones.
        case show(String)
        /// Print the received message unchanged.
        case printMessage
        case finish(QuerySession.Outcome)
    }

    private static let requestID = "live"

    private let request: [UInt8]
    private let format: ResultFormat
    private let palette: Palette
    private var table = LiveTable()
    private var hasAsked = false

    /// - Parameter data: the `data` of `query:subscribe`.
    init(data: [String: JSONValue], format: ResultFormat, palette: Palette) {
        request = ClientRequest.follow(id: Self.requestID, data)
        self.format = format
        self.palette = palette
    }

    mutating func received(_ message: Envelope) -> [Action] {
        switch message.payload {
        case .connectionAck where !hasAsked:
            hasAsked = true
            return [.send(request)]
        case .querySubscribed, .querySnapshot, .queryChanged:
            let isComplete = table.apply(message.payload)
            if case .json = format { return [.printMessage] }
            return isComplete ? [.show(text)] : []
        case .queryUnsubscribed(let ended):
            let reason = "\(ended.reason ?? "the server ended the query") (\(ended.code?.rawValue ?? "UNSUBSCRIBED"))"
            return [.finish(.failed(message: reason, status: .failure))]
        case .error(let error) where message.header.replyTo == Self.requestID:
            let status: ExitReason = error.code == .notAuthorized ? .noPermission : .failure
            return [.finish(.failed(message: "\(error.message) (\(error.code))", status: status))]
        default:
            return []
        }
    }

    private var text: String {
        var printer = ResultPrinter(format: format, palette: palette)
        let batch = QueryRowsPayload(
            queryID: Self.requestID,
            statementIndex: 0,
            columns: table.columns,
            rows: table.rows.map { WireRow.object($0) },
            offset: 0
        )
        return printer.append(batch) + printer.flush()
    }
}
