import NIOCore

/// Frames messages for connections with compression: compressed where that is worth it. Not thread-safe.
final class MessageCompressor {
    private let windowBits: Int
    private let minBytes: Int
    /// Made with the first message that is large enough.
    private lazy var deflater = Deflater(windowBits: windowBits)

    /// `minBytes` is ``WebSocketLimits/minCompressedBytes``.
    init(windowBits: Int, minBytes: Int) {
        self.windowBits = windowBits
        self.minBytes = minBytes
    }

    func frame(_ opcode: Opcode, _ message: ByteBuffer, mask: MaskingKey? = nil) -> ByteBuffer {
        let compressed = compress(message)
        return FrameEncoder.frame(opcode, compressed ?? message, isCompressed: compressed != nil, mask: mask)
    }

    private func compress(_ message: ByteBuffer) -> ByteBuffer? {
        guard message.readableBytes >= minBytes, let compressed = deflater?.deflate(message) else { return nil }
        return minBytes == 0 || compressed.readableBytes < message.readableBytes ? compressed : nil
    }
}
