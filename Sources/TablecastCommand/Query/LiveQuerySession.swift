import WireProtocol

/// What `query --live` makes of the messages of its connection: decides, and leaves the doing to its caller.
struct LiveQuerySession: Sendable {
    enum Action: Sendable, Hashable {
        case send([UInt8])
        /// Rows, for stdout; drawn over those before where that is a terminal.
        case show(String)
        /// The message that was received, as it is.
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
