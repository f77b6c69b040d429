package import NIOCore

/// The bytes that were written and that the socket has not taken yet, in order.
///
/// The channel has one batch at a time; the rest waits here, where whole frames can still be dropped when a client
/// turns out to be too slow. Buffers are shared with the other receivers: waiting costs each connection a reference,
/// not a copy.
package struct OutboundQueue {
    private var waiting: [ByteBuffer] = []
    private var waitingBytes = 0
    private var inFlightBytes = 0
    /// The size of a batch that is passed to the channel: one `writev` takes it.
    private let maxBatchBytes = 128 << 10
    private let maxBatchBuffers = 512

    package init() {}

    /// The bytes that the socket has not taken; a batch counts until all of it is taken.
    package var bytes: Int { waitingBytes + inFlightBytes }
    package var isEmpty: Bool { waitingBytes + inFlightBytes == 0 }

    package mutating func append(_ buffer: ByteBuffer) {
        waiting.append(buffer)
        waitingBytes += buffer.readableBytes
    }

    /// The next buffers to write, unless a batch is being written.
    package mutating func nextBatch() -> ArraySlice<ByteBuffer> {
        guard inFlightBytes == 0, waitingBytes > 0 else { return [] }
        var count = 0
        var bytes = 0
        while count < min(waiting.count, maxBatchBuffers) && (count == 0 || bytes < maxBatchBytes) {
            bytes += waiting[count].readableBytes
            count += 1
        }
        let batch = waiting[..<count]
        waiting.removeFirst(count)
        // A burst must not leave its array on a connection that is idle afterwards.
        if waiting.isEmpty { waiting = [] }
        waitingBytes -= bytes
        inFlightBytes = bytes
        return batch
    }

    /// The channel reports that the kernel has the batch, or that it was lost with the connection.
    package mutating func batchEnded() {
        inFlightBytes = 0
    }

    /// Bytes that another handler wrote before are still with the channel.
    package mutating func adopt(inFlightBytes: Int) {
        self.inFlightBytes += inFlightBytes
    }

    /// Drops the waiting buffers; the current batch is finished, because otherwise a frame would end in the middle.
    package mutating func dropWaiting() {
        waiting = []
        waitingBytes = 0
    }
}
