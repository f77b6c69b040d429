internal import CZlib
import NIOCore
import WireProtocol

/// Decompresses the messages of permessage-deflate, RFC 7692 section 7.2.2, never beyond a given size.
///
/// It uses about 45 kB once it has seen data, so connections borrow it from an ``InflaterPool`` for one message at a
/// time. Not thread-safe; confined to an event loop.
final class Inflater {
    /// zlib keeps a pointer back to the stream, so its address must not change.
    private let stream: UnsafeMutablePointer<z_stream>

    /// Nil when there is not enough memory.
    init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Negative: raw deflate without zlib's header. 15 bits decode every smaller window too.
        let status = inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Decompresses `input` and appends the result.
    ///
    /// `maxBytes` is the limit of `output`; beyond it the message is refused (1009) before it takes more memory,
    /// however far a few bytes would expand.
    func inflate(
        _ input: UnsafeRawBufferPointer,
        into output: inout ByteBuffer,
        maxBytes: Int
    ) throws(ProtocolViolation) {
        guard let base = input.baseAddress else { return }
        // zlib promises not to write through next_in; its type predates const.
        stream.pointee.next_in = UnsafeMutablePointer(mutating: base.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(clamping: input.count)
        defer { stream.pointee.next_in = nil }
        while true {
            // One byte over the limit is enough to detect the violation.
            let room = min(max(stream.pointee.avail_in * 4, 512), 65_536)
            let wanted = min(Int(room), maxBytes - output.readableBytes + 1)
            let (status, isFull) = step(into: &output, bytes: wanted)
            if output.readableBytes > maxBytes { throw .tooBig(limitBytes: maxBytes) }
            switch status {
            case Z_STREAM_END:
                // Section 7.2.3.4: a block with BFINAL set may end the message, or another block follow.
                inflateResetKeep(stream)
                if stream.pointee.avail_in == 0 && !isFull { return }
            case Z_OK, Z_BUF_ERROR:
                if stream.pointee.avail_in == 0 && !isFull { return }
            default:
                throw ProtocolViolation(.invalidPayload, "the compressed data is not valid")
            }
        }
    }

    /// Appends the remaining output after the last fragment: section 7.2.2, "Append 4 octets of 0x00 0x00 0xff 0xff".
    func finish(into output: inout ByteBuffer, maxBytes: Int) throws(ProtocolViolation) {
        let tail: (UInt8, UInt8, UInt8, UInt8) = (0x00, 0x00, 0xFF, 0xFF)
        try withUnsafeBytes(of: tail) { bytes throws(ProtocolViolation) in
            try inflate(bytes, into: &output, maxBytes: maxBytes)
        }
    }

    /// Resets the state: for the next message without context takeover, or for the next connection.
    func reset() {
        inflateReset(stream)
    }

    private func step(into output: inout ByteBuffer, bytes: Int) -> (status: Int32, isFull: Bool) {
        var status = Z_OK
        let written = output.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes) { target in
            stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(bytes)
            status = CZlib.inflate(stream, Z_SYNC_FLUSH)
            stream.pointee.next_out = nil
            return bytes - Int(stream.pointee.avail_out)
        }
        return (status, written == bytes)
    }
}

/// The decompressors of one event loop: a connection borrows one while it receives a compressed message.
///
/// So memory grows with the number of messages in progress, not of connections. Not thread-safe.
final class InflaterPool {
    private var idle: [Inflater] = []
    /// Further ones are freed.
    private let maxIdle = 4

    func take() -> Inflater? {
        idle.popLast() ?? Inflater()
    }

    func give(_ inflater: Inflater) {
        guard idle.count < maxIdle else { return }
        inflater.reset()
        idle.append(inflater)
    }
}
