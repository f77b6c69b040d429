import TablecastClient
import UnixSignals
import WireProtocol

/// Prints the rows of a live query after each change, over as many connections as needed, until Ctrl-C.
struct LiveQueryRun: Sendable {
    /// Moves the cursor home and erases everything after it: the new rows replace the previous ones.
    private static let redraw = "\u{1B}[H\u{1B}[2J"

    let server: ServerConnection
    let request: LiveQueryRequest

    func run(_ session: LiveQuerySession) async throws -> QuerySession.Outcome {
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: QuerySession.Outcome?.self) { group in
            group.addTask { try await follow(session) }
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

    private func follow(_ session: LiveQuerySession) async throws -> QuerySession.Outcome {
        var session = session
        var isFirst = true
        do {
            for try await message in LiveQueryMessages(client: try server.client(), request: request) {
                switch session.received(message) {
                case .show(let rows):
                    let separator = Terminal.output.isInteractive ? Self.redraw : isFirst ? "" : "\n"
                    isFirst = false
                    guard try Terminal.output.write(separator + rows) else { return .complete(summary: "") }
                case .print(let text):
                    guard try Terminal.output.writeLine(text) else { return .complete(summary: "") }
                case nil: break
                }
            }
            return .complete(summary: "")
        } catch let error as TablecastClientError where error.code == .requestFailed {
            let message = "\(error)\(error.errorCode.map { " (\($0))" } ?? "")"
            return .failed(message: message, status: ExitReason(error.errorCode))
        } catch let error as TablecastClientError {
            throw server.failure(error)
        }
    }
}

/// The output of `query --live` for the messages of its query.
struct LiveQuerySession: Sendable {
    enum Action: Sendable, Hashable {
        /// Print rows to stdout; on a terminal they replace the previous ones.
        case show(String)
        /// Print the received message unchanged.
        case print(String)
    }

    private let format: ResultFormat
    private let palette: Palette
    private var table = LiveTable()

    init(format: ResultFormat, palette: Palette) {
        self.format = format
        self.palette = palette
    }

    mutating func received(_ message: ReceivedMessage) -> Action? {
        if case .queryReached = message.envelope.payload { return nil }
        let isComplete = table.apply(message.envelope.payload)
        if case .json = format { return .print(message.json) }
        return isComplete ? .show(text) : nil
    }

    private var text: String {
        var printer = ResultPrinter(format: format, palette: palette)
        let batch = QueryRowsPayload(
            queryID: "live",
            statementIndex: 0,
            columns: table.columns,
            rows: table.rows.map { WireRow.object($0) },
            offset: 0
        )
        return printer.append(batch) + printer.flush()
    }
}
