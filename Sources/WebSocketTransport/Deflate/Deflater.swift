import Broadcast
internal import CZlib
package import NIOCore
import Synchronization

/// Compresses whole messages for permessage-deflate, RFC 7692 section 7.2.1, each independently.
///
/// No message refers to an earlier one (`server_no_context_takeover`), so the output is the same for every connection
/// whose window is at least ``windowBits``: compress once, send to all. It uses about 260 kB; one per publisher is
/// enough. Not thread-safe.
package final class Deflater {
    /// The base-two logarithm of the window, 9 to 15.
    package let windowBits: Int
    private let stream: UnsafeMutablePointer<z_stream>
    /// On messages with rows as JSON, level 6 takes more than twice the time of level 3 to save another two per cent.
    private static let level: Int32 = 3

    /// Nil when there is not enough memory.
    package init?(windowBits: Int = 15) {
        precondition((9...15).contains(windowBits), "zlib makes raw streams with windows of 9 to 15 bits")
        self.windowBits = windowBits
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = deflateInit2_(
            stream,
            Self.level,
            Z_DEFLATED,
            Int32(-windowBits),
            8,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size)
        )
        guard status == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// The compressed form of `message`, which can be a little longer than the message; nil for 4 GiB and more.
    package func deflate(_ message: ByteBuffer) -> ByteBuffer? {
        guard let inputBytes = UInt32(exactly: message.readableBytes) else { return nil }
        let bound = Int(deflateBound(stream, UInt(inputBytes))) + 16
        var output = ByteBufferAllocator().buffer(capacity: bound)
        var status = Z_OK
        message.withUnsafeReadableBytes { input in
            // zlib promises not to write through next_in; its type predates const.
            stream.pointee.next_in = input.baseAddress.map {
                UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: UInt8.self))
            }
            stream.pointee.avail_in = inputBytes
            _ = output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
                stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_out = UInt32(clamping: target.count)
                let room = Int(stream.pointee.avail_out)
                status = CZlib.deflate(stream, Z_SYNC_FLUSH)
                return room - Int(stream.pointee.avail_out)
            }
        }
        let isWhole = status == Z_OK && stream.pointee.avail_in == 0
        stream.pointee.next_in = nil
        stream.pointee.next_out = nil
        deflateReset(stream)
        // Section 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end".
        output.moveWriterIndex(to: max(output.writerIndex - 4, output.readerIndex))
        return isWhole ? output : nil
    }
}

/// Frames messages for connections with compression: compressed where that makes them smaller. Not thread-safe.
final class MessageCompressor {
    private let windowBits: Int
    private let minBytes: Int
    /// Created for the first message that is large enough.
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

/// How the hub frames a message for connections with compression: once for each of two windows, however many connections
/// there are. Thread-safe.
final class CompressedFrameEncodings: Sendable {
    private let large: FrameEncoding
    private let small: FrameEncoding

    init(limits: WebSocketLimits) {
        large = SharedCompressor(windowBits: 15, limits).frameEncoding
        small = SharedCompressor(windowBits: 9, limits).frameEncoding
    }

    subscript(agreement: DeflateAgreement) -> FrameEncoding {
        agreement.sharedWindowBits == 15 ? large : small
    }
}

private final class SharedCompressor: Sendable {
    private let windowBits: Int
    /// The lock is held while a message is compressed; the hub requests each message once.
    private let compressor: Mutex<MessageCompressor>

    init(windowBits: Int, _ limits: WebSocketLimits) {
        self.windowBits = windowBits
        compressor = Mutex(MessageCompressor(windowBits: windowBits, minBytes: limits.minCompressedBytes))
    }

    var frameEncoding: FrameEncoding {
        FrameEncoding(name: "websocket, deflate \(windowBits)") { message in
            self.compressor.withLock { $0.frame(.text, message.json) }
        }
    }
}
