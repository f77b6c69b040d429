import WebSocketTransport
import WireProtocol

/// What a query runs through: the protocol's messages in both directions. May be used from any task.
protocol QueryConnection: Sendable {
    associatedtype Messages: AsyncSequence<String, Never> & Sendable

    /// For one reader, up to the end of the connection.
    var messages: Messages { get }
    func send(_ text: String) async throws
    /// Why there are no more messages.
    var end: String { get async }
    func close() async
}

extension WebSocketConnection: QueryConnection {
    var end: String {
        get async {
            let status = await status
            return "code \(status.code)\(status.reason.isEmpty ? "" : ", \(status.reason)")"
        }
    }

    func close() async { await close(.normal) }
}
