package import NIOCore

/// Makes whole frames: header and payload in one buffer, ready to be written to any number of connections.
package enum FrameEncoder {
    /// A text message in one frame, as a server sends it; compressed if `payload` is the output of a ``Deflater``.
    package static func text(_ payload: ByteBuffer, isCompressed: Bool = false) -> ByteBuffer {
        frame(.text, payload, isCompressed: isCompressed)
    }

    package static func frame(
        _ opcode: Opcode,
        _ payload: ByteBuffer,
        isFinal: Bool = true,
        isCompressed: Bool = false,
        mask: MaskingKey? = nil
    ) -> ByteBuffer {
        let header = FrameHeader(
            opcode,
            payloadBytes: payload.readableBytes,
            isFinal: isFinal,
            isCompressed: isCompressed,
            mask: mask
        )
        var buffer = ByteBufferAllocator().buffer(capacity: header.encodedBytes + payload.readableBytes)
        header.write(to: &buffer)
        if let mask {
            buffer.write(payload.readableBytesView, applying: mask)
        } else {
            buffer.writeImmutableBuffer(payload)
        }
        return buffer
    }

    /// The heartbeat's ping: empty, so that one buffer serves every connection of a server.
    static let emptyPing = frame(.ping, ByteBuffer())
}
