import NIOCore
import Testing

@testable import WebSocketTransport

@Suite struct OutboundQueueTests {
    private var queue = OutboundQueue()

    @Test mutating func `buffers leave in order, one batch at a time`() {
        for number in 0..<1_000 { queue.append(ByteBuffer(string: "\(number) ")) }
        var seen = ""
        while !queue.isEmpty {
            let batch = queue.nextBatch()
            #expect(!batch.isEmpty && batch.count <= 512)
            #expect(queue.nextBatch().isEmpty)
            for buffer in batch { seen += String(buffer: buffer) }
            queue.batchEnded()
        }
        #expect(seen == (0..<1_000).map { "\($0) " }.joined())
    }

    @Test mutating func `bytes count until the batch has ended`() {
        queue.append(ByteBuffer(repeating: 0, count: 100))
        _ = queue.nextBatch()
        queue.append(ByteBuffer(repeating: 0, count: 10))
        #expect(queue.bytes == 110)
        queue.batchEnded()
        #expect(queue.bytes == 10)
    }

    @Test mutating func `a batch is bounded in bytes, but takes one buffer of any size`() {
        for _ in 0..<3 { queue.append(ByteBuffer(repeating: 0, count: 1 << 20)) }
        #expect(queue.nextBatch().count == 1)
    }

    @Test mutating func `dropping keeps the batch that is on its way`() {
        queue.append(ByteBuffer(repeating: 0, count: 100))
        _ = queue.nextBatch()
        queue.append(ByteBuffer(repeating: 0, count: 1_000))
        queue.dropWaiting()
        #expect(queue.bytes == 100)
        queue.append(ByteBuffer(string: "close"))
        queue.batchEnded()
        #expect(queue.nextBatch() == [ByteBuffer(string: "close")])
    }

    @Test mutating func `bytes of an earlier writer hold back the first batch`() {
        queue.adopt(inFlightBytes: 5)
        queue.append(ByteBuffer(string: "x"))
        #expect(queue.nextBatch().isEmpty && queue.bytes == 6)
        queue.batchEnded()
        #expect(queue.nextBatch().count == 1)
    }
}
