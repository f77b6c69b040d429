import Broadcast
import NIOCore
import WireProtocol

/// The messages of a source's response that a relay passes on: whole ones only, so that a message of the relay itself can follow
/// when the source is lost. A value without I/O.
struct SourceStream {
    enum Format {
        /// Server-Sent Events, which end with an empty line.
        case events
        /// One message per line.
        case lines
    }

    private let format: Format
    /// The beginning of a message.
    private var partial = ByteBuffer()
    /// The last messages that were passed on.
    private var last = ByteBuffer()
    /// What the final message names.
    private var subject: Subject?

    private enum Subject {
        case liveQuery(String)
        case query(String)
    }

    /// Nil for a response that is not a stream of messages.
    init?(contentType: String?) {
        switch contentType?.split(separator: ";").first {
        case "text/event-stream": format = .events
        case "application/x-ndjson": format = .lines
        default: return nil
        }
    }

    private var separator: Int { format == .events ? 2 : 1 }

    /// The messages that the bytes complete; nil when there are none.
    mutating func receive(_ bytes: ByteBuffer) -> ByteBuffer? {
        // A separator can begin in the part that is already known.
        let searched = max(partial.readableBytes - separator + 1, 0)
        if partial.readableBytes == 0 {
            partial = bytes
        } else {
            partial.writeImmutableBuffer(bytes)
        }
        guard let end = Self.end(in: partial.readableBytesView, from: searched, separator),
            let whole = partial.readSlice(length: end)
        else { return nil }
        // Otherwise it would share the memory of what was passed on.
        if partial.readableBytes == 0 { partial = ByteBuffer() }
        if subject == nil { subject = Self.subject(of: messages(in: whole, limit: 2)) }
        last = whole
        return whole
    }

    /// The message that replaces the end that the source did not send; nil when it did.
    func ending(_ error: ProtocolError) -> ByteBuffer? {
        guard !hasEnded else { return nil }
        let message =
            switch subject {
            case .liveQuery(let id):
                EncodedMessage(
                    EnvelopeHeader(.queryUnsubscribed, channel: .queries),
                    QueryUnsubscribedPayload(subscription: id, reason: error.message, code: error.code)
                )
            case .query(let id):
                EncodedMessage(
                    EnvelopeHeader(.queryError, channel: .queries),
                    QueryErrorPayload(queryID: id, error: error.message, code: error.code)
                )
            case nil: EncodedMessage.error(error, replyTo: nil)
            }
        return message.framed(for: format == .events ? EventStream.serverSentEvents : EventStream.lines)
    }

    private var hasEnded: Bool {
        switch messages(in: last, limit: .max).last?.payload {
        case .queryUnsubscribed, .queryComplete, .queryError, .queryCancelled, .error: true
        default: false
        }
    }

    private static func subject(of messages: [Envelope]) -> Subject? {
        for message in messages {
            switch message.payload {
            case .querySubscribed(let subscribed): return .liveQuery(subscribed.subscription)
            case .queryStarted(let started): return .query(started.queryID)
            default: break
            }
        }
        return nil
    }

    /// The first messages. What cannot be read, such as a comment, is none.
    private func messages(in bytes: ByteBuffer, limit: Int) -> [Envelope] {
        let data = Array("data: ".utf8)
        var found: [Envelope] = []
        for line in bytes.readableBytesView.split(separator: UInt8(ascii: "\n")) where found.count < limit {
            if format == .events, !line.starts(with: data) { continue }
            let json = format == .events ? line.dropFirst(data.count) : line
            // A message of a newer version can have another form; it is passed on unread.
            if let message = try? Envelope(parsing: json) { found.append(message) }
        }
        return found
    }

    /// The offset behind the last separator that begins at `from` or later.
    private static func end(in bytes: ByteBufferView, from: Int, _ separator: Int) -> Int? {
        let lineFeed = UInt8(ascii: "\n")
        var index = bytes.endIndex - separator
        while index >= bytes.startIndex + from {
            if bytes[index] == lineFeed, separator == 1 || bytes[index + 1] == lineFeed {
                return index + separator - bytes.startIndex
            }
            index -= 1
        }
        return nil
    }
}
