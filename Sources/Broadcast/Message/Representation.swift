package import NIOCore

/// One way of putting messages on a connection: frames of a WebSocket, compressed or not, or lines of an event stream.
///
/// Compared by identity: a transport makes one for each kind of connection, not one for each connection, because messages
/// are framed once for each.
package final class Representation: Sendable {
    package let name: String
    /// Makes the whole frame of a message. Called at most once for each message, on any thread.
    let frame: @Sendable (EncodedMessage) -> ByteBuffer

    package init(name: String, frame: @escaping @Sendable (EncodedMessage) -> ByteBuffer) {
        self.name = name
        self.frame = frame
    }

    /// A text message of a server in one frame of its own, uncompressed.
    package static let webSocket = Representation(name: "websocket") { message in
        TextFrame.encode(message.json)
    }
}

extension Representation: Hashable {
    package static func == (lhs: Representation, rhs: Representation) -> Bool { lhs === rhs }
    package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// Unmasked text frames. Source: [RFC 6455 section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2).
enum TextFrame {
    static func encode(_ payload: ByteBuffer) -> ByteBuffer {
        let count = payload.readableBytes
        // Final fragment, opcode text.
        let firstByte: UInt8 = 0x81
        var frame = ByteBufferAllocator().buffer(capacity: count + 10)
        switch count {
        case ..<126:
            frame.writeMultipleIntegers(firstByte, UInt8(count))
        case ..<65536:
            frame.writeMultipleIntegers(firstByte, 126 as UInt8, UInt16(count))
        default:
            frame.writeMultipleIntegers(firstByte, 127 as UInt8, UInt64(count))
        }
        frame.writeImmutableBuffer(payload)
        return frame
    }
}
