package import NIOCore
import Synchronization
package import WireProtocol

/// A message as JSON, encoded once and shared by all receivers. Thread-safe.
package final class EncodedMessage: Sendable {
    /// The whole envelope.
    package let json: ByteBuffer
    package let type: MessageType
    /// The position from which a client that received this message can resume: set only on the last message of a
    /// transaction, because after an earlier one the rest would be lost. An event stream sends it as `id`.
    package let resumePosition: Position?
    /// The subscription or live query that received everything up to ``resumePosition``, if it is only one.
    package let subscription: String?
    /// The frame of ``FrameEncoding/webSocket``, of which ``json`` is a part: most messages need no other. Nil for bytes that were
    /// passed as they are.
    private let textFrame: ByteBuffer?
    private let frames = Mutex<[(frameEncoding: FrameEncoding, bytes: ByteBuffer)]>([])

    package init(
        json: ByteBuffer,
        type: MessageType,
        resumePosition: Position? = nil,
        subscription: String? = nil
    ) {
        self.json = json
        self.type = type
        self.resumePosition = resumePosition
        self.subscription = subscription
        textFrame = nil
    }

    /// Takes the bytes of a whole envelope from a writer.
    package init(
        _ writer: borrowing JSONWriter,
        type: MessageType,
        resumePosition: Position? = nil,
        subscription: String? = nil
    ) {
        let frame = writer.withUnsafeBytes { TextFrame.encode($0) }
        textFrame = frame
        var json = frame
        json.moveReaderIndex(forwardBy: frame.readableBytes - writer.count)
        self.json = json
        self.type = type
        self.resumePosition = resumePosition
        self.subscription = subscription
    }

    package convenience init(
        _ header: EnvelopeHeader,
        _ data: some JSONWritable,
        resumePosition: Position? = nil,
        subscription: String? = nil
    ) {
        var writer = JSONWriter()
        writer.envelope(header, data)
        self.init(writer, type: header.type, resumePosition: resumePosition, subscription: subscription)
    }

    /// The message framed for a kind of connection; framed by the first caller, while other callers for the same
    /// encoding wait.
    package func framed(for frameEncoding: FrameEncoding) -> ByteBuffer {
        if let textFrame, frameEncoding == .webSocket { return textFrame }
        guard frameEncoding.isShared else { return frameEncoding.frame(self) }
        return frames.withLock { frames in
            if let known = frames.first(where: { $0.frameEncoding === frameEncoding }) { return known.bytes }
            let bytes = frameEncoding.frame(self)
            frames.append((frameEncoding, bytes))
            return bytes
        }
    }
}

/// The messages about subscriptions that the hub creates itself.
extension EncodedMessage {
    /// The acknowledgement of a subscription. All later transactions follow its position: a client that stores it loses
    /// nothing, even if it does not receive the whole replay.
    package static func subscribed(_ payload: SubscribedPayload, replyTo: String?) -> EncodedMessage {
        let header = EnvelopeHeader(
            .subscribed,
            channel: payload.channel,
            position: payload.position,
            replyTo: replyTo
        )
        return EncodedMessage(
            header,
            payload,
            resumePosition: payload.position,
            subscription: payload.subscription
        )
    }

    static func unsubscribed(
        _ channel: MessageChannel,
        subscription: String? = nil,
        replyTo: String?
    ) -> EncodedMessage {
        let header = EnvelopeHeader(.unsubscribed, channel: channel, replyTo: replyTo)
        return EncodedMessage(header, UnsubscribedPayload(channel: channel, subscription: subscription))
    }

    /// The answer to a request that failed, or that cannot be understood.
    package static func error(_ error: ProtocolError, replyTo: String?) -> EncodedMessage {
        let header = EnvelopeHeader(.error, channel: .notifications, replyTo: error.requestID ?? replyTo)
        return EncodedMessage(header, ErrorPayload(message: error.message, code: error.code))
    }

    /// The end of a transaction for connections with several subscriptions: the same for all of them.
    static func transactionEnd(of publication: any Publication) -> EncodedMessage {
        transactionEnd(
            publication.position,
            id: "\(publication.firstPosition)/end",
            timestamp: publication.timestamp
        )
    }

    /// All subscriptions of one connection have reached the same position.
    static func transactionEnd(
        _ position: Position,
        id: String = MessageID.next(),
        timestamp: Int64 = UnixTime.milliseconds
    ) -> EncodedMessage {
        let header = EnvelopeHeader(
            id: id,
            timestamp: timestamp,
            type: .transactionEnd,
            channel: .tables,
            position: position
        )
        return EncodedMessage(header, TransactionEndPayload(position: position), resumePosition: position)
    }
}

/// How messages are framed for a connection: frames of a WebSocket, compressed or not, or lines of an event stream.
///
/// Compared by identity: a transport creates a shared one for each kind of connection, not for each connection, because messages
/// are framed once for each.
package final class FrameEncoding: Sendable {
    package let name: String
    /// Whether several connections have it: then a message keeps its frame for the others.
    let isShared: Bool
    /// Creates the whole frame of a message. Called at most once for each message, on any thread; if it is not shared, once for each
    /// time that the message is sent, on the connection's event loop.
    let frame: @Sendable (EncodedMessage) -> ByteBuffer
    /// Appends the same frame, for a message with a single receiver; nil when there is no shorter way than ``frame``.
    let append: (@Sendable (EncodedMessage, inout ByteBuffer) -> Void)?

    package init(
        name: String,
        isShared: Bool = true,
        append: (@Sendable (EncodedMessage, inout ByteBuffer) -> Void)? = nil,
        frame: @escaping @Sendable (EncodedMessage) -> ByteBuffer
    ) {
        self.name = name
        self.isShared = isShared
        self.append = append
        self.frame = frame
    }

    /// A text message of a server in one frame of its own, uncompressed.
    package static let webSocket = FrameEncoding(name: "websocket") { message, buffer in
        TextFrame.append(message.json, to: &buffer)
    } frame: { message in
        TextFrame.encode(message.json)
    }
}

extension FrameEncoding: Hashable {
    package static func == (lhs: FrameEncoding, rhs: FrameEncoding) -> Bool { lhs === rhs }
    package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// Unmasked text frames. Source: [RFC 6455 section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2).
enum TextFrame {
    static let maxHeaderBytes = 10

    static func encode(_ payload: ByteBuffer) -> ByteBuffer {
        payload.withUnsafeReadableBytes { encode($0) }
    }

    static func encode(_ payload: UnsafeRawBufferPointer) -> ByteBuffer {
        var frame = ByteBufferAllocator().buffer(capacity: payload.count + maxHeaderBytes)
        appendHeader(payload.count, to: &frame)
        frame.writeBytes(payload)
        return frame
    }

    static func append(_ payload: ByteBuffer, to frame: inout ByteBuffer) {
        appendHeader(payload.readableBytes, to: &frame)
        frame.writeImmutableBuffer(payload)
    }

    private static func appendHeader(_ count: Int, to frame: inout ByteBuffer) {
        // Final fragment, opcode text.
        let firstByte: UInt8 = 0x81
        switch count {
        case ..<126:
            frame.writeMultipleIntegers(firstByte, UInt8(count))
        case ..<65536:
            frame.writeMultipleIntegers(firstByte, 126 as UInt8, UInt16(count))
        default:
            frame.writeMultipleIntegers(firstByte, 127 as UInt8, UInt64(count))
        }
    }
}

/// A group of receivers other than a channel, such as the subscribers of one query: each message to it is encoded once
/// for all of them.
package struct Topic: Hashable, Sendable, Comparable {
    package let number: UInt64

    /// The relays among the clients. Other topics are numbered from zero.
    package static let relays = Topic(.max)

    package init(_ number: UInt64) { self.number = number }

    package static func < (left: Topic, right: Topic) -> Bool { left.number < right.number }
}
