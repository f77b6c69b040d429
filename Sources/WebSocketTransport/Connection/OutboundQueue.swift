package import NIOCore

/// What has been written and the socket has not taken yet, in order.
///
/// One batch at a time is in the channel's hands; the rest waits here, where it can still be dropped, frame by frame
/// whole, when a client turns out to be too slow. Buffers are shared with the other receivers: waiting costs each
/// connection a reference, not a copy.
package struct OutboundQueue {
    private var waiting: [ByteBuffer] = []
    private var waitingBytes = 0
    private var inFlightBytes = 0
    /// What is handed to the channel together: one `writev` takes it.
    private let maxBatchBytes = 128 << 10
    private let maxBatchBuffers = 512

    package init() {}

    /// Everything that the socket has not taken, counting a batch until all of it is.
    package var bytes: Int { waitingBytes + inFlightBytes }
    package var isEmpty: Bool { waitingBytes + inFlightBytes == 0 }

    package mutating func append(_ buffer: ByteBuffer) {
        waiting.append(buffer)
        waitingBytes += buffer.readableBytes
    }

    /// The next buffers to write, unless some are being written.
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
        // A burst must not leave its array behind on a connection that is idle afterwards.
        if waiting.isEmpty { waiting = [] }
        waitingBytes -= bytes
        inFlightBytes = bytes
        return batch
    }

    /// The channel reports that the batch is with the kernel, or lost with the connection.
    package mutating func batchEnded() {
        inFlightBytes = 0
    }

    /// Bytes that somebody else wrote before us are still with the channel.
    package mutating func adopt(inFlightBytes: Int) {
        self.inFlightBytes += inFlightBytes
    }

    /// Gives up what waits; a batch on its way is finished, or else a frame would end in the middle.
    package mutating func dropWaiting() {
        waiting = []
        waitingBytes = 0
    }
}
