import NIOCore
import WireProtocol

@testable import WebSocketTransport

let testMask = MaskingKey(0x37, 0xFA, 0x21, 0x3D)

/// A frame as a client sends it.
func clientFrame(
    _ opcode: Opcode,
    _ payload: String,
    isFinal: Bool = true,
    isCompressed: Bool = false
) -> ByteBuffer {
    clientFrame(opcode, ByteBuffer(string: payload), isFinal: isFinal, isCompressed: isCompressed)
}

func clientFrame(
    _ opcode: Opcode,
    _ payload: ByteBuffer,
    isFinal: Bool = true,
    isCompressed: Bool = false
) -> ByteBuffer {
    FrameEncoder.frame(opcode, payload, isFinal: isFinal, isCompressed: isCompressed, mask: testMask)
}

extension ByteBuffer {
    static func + (left: ByteBuffer, right: ByteBuffer) -> ByteBuffer {
        var joined = left
        joined.writeImmutableBuffer(right)
        return joined
    }
}

/// A decoder and an assembler, connected as in a connection.
struct MessageReader {
    private var decoder: FrameDecoder
    private var assembler: MessageAssembler

    init(
        role: EndpointRole = .server,
        maxMessageBytes: Int = 1 << 20,
        acceptsBinary: Bool = true,
        isCompressed: Bool = false
    ) {
        decoder = FrameDecoder(role: role, allowsCompression: isCompressed)
        assembler = MessageAssembler(
            maxMessageBytes: maxMessageBytes,
            acceptsBinary: acceptsBinary,
            inflaters: isCompressed ? InflaterPool() : nil
        )
    }

    mutating func read(_ bytes: ByteBuffer) throws(ProtocolViolation) -> [InboundMessage] {
        var bytes = bytes
        var messages: [InboundMessage] = []
        while let event = try decoder.next(&bytes) {
            if let message = try assembler.take(event) { messages.append(message) }
        }
        return messages
    }

    /// The code with which `bytes` end the connection, however they are cut; nil if they do not.
    static func violation(
        _ bytes: ByteBuffer,
        maxMessageBytes: Int = 1 << 20,
        acceptsBinary: Bool = true,
        isCompressed: Bool = false
    ) -> CloseCode? {
        func code(_ parts: [ByteBuffer]) -> CloseCode? {
            var reader = MessageReader(
                maxMessageBytes: maxMessageBytes,
                acceptsBinary: acceptsBinary,
                isCompressed: isCompressed
            )
            do throws(ProtocolViolation) {
                for part in parts { _ = try reader.read(part) }
                return nil
            } catch {
                return error.code
            }
        }
        let whole = code([bytes])
        let single = code(bytes.readableBytesView.map { ByteBuffer(bytes: [$0]) })
        return whole == single ? whole : .internalError
    }
}
