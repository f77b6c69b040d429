import Broadcast
import NIOCore
import WireProtocol

/// Records its input; takes bytes at once, or when the test says so.
final class TestConnection: OutboundConnection {
    let eventLoop: any EventLoop
    let frameEncoding: FrameEncoding
    private(set) var received: [String] = []
    private(set) var writes = 0
    private(set) var closed: CloseCode?
    /// What is written waits until ``read()``.
    var isStalled = false
    var queuedBytes = 0
    /// Called at the end of each write, like a channel that fails or drains while it writes.
    var onWrite: (() -> Void)?

    init(_ eventLoop: any EventLoop, _ frameEncoding: FrameEncoding = .lines) {
        self.eventLoop = eventLoop
        self.frameEncoding = frameEncoding
    }

    func write(_ frames: ByteBuffer) -> Int {
        writes += 1
        received += String(buffer: frames).split(separator: "\n").map(String.init)
        if isStalled { queuedBytes += frames.readableBytes }
        onWrite?()
        return queuedBytes
    }

    func close(_ code: CloseCode, reason: String) { closed = code }

    /// The client reads everything; the test must call the hub afterwards.
    func read() { queuedBytes = 0 }

    func forget() { received = [] }
}

extension FrameEncoding {
    /// One message a line.
    static let lines = FrameEncoding(name: "lines") { message in
        var line = message.json
        line.writeString("\n")
        return line
    }
}

extension EncodedMessage {
    convenience init(_ text: String, resumePosition: Position? = nil) {
        self.init(json: ByteBuffer(string: text), type: MessageType("test"), resumePosition: resumePosition)
    }
}

/// Concerns some tables, and has messages for each filter.
struct TestPublication: Publication, PublicationEncoder {
    let position: Position
    let tables: [String]
    var byteCount = 100

    var timestamp: Int64 { 0 }

    func encoder() -> any PublicationEncoder { self }

    func messages(for subscription: TableSubscription) -> [EncodedMessage] {
        texts(for: subscription.filter).map { EncodedMessage($0) }
    }

    func texts(for filter: TableFilter) -> [String] {
        tables.filter { filter.includes(table: $0) }.map { "\(position) \($0) \(filter.rowLevel)" }
    }
}

/// The message itself, or a summary of one that the hub created, whose id and time differ.
func gist(_ text: String) -> String { gist(text, withIDs: false) }

/// - Parameter withIDs: names subscriptions.
func gist(_ text: String, withIDs: Bool) -> String {
    guard text.hasPrefix("{"), let envelope = try? Envelope(parsing: text.utf8) else { return text }
    switch envelope.payload {
    case .subscribed(let data):
        let ids = withIDs ? (data.subscriptions ?? data.subscription.map { [$0] })?.joined(separator: ",") : nil
        let words = [
            "subscribed \(data.channel)", ids, data.position.map { "\($0)" }, data.recovered.map { "\($0)" },
        ]
        return words.compactMap { $0 }.joined(separator: " ")
    case .unsubscribed(let data):
        let id = withIDs ? data.subscription.map { " \($0)" } ?? "" : ""
        return "unsubscribed \(data.channel)\(id)"
    case .transactionEnd(let data): return "end \(data.position)"
    default: return text
    }
}
