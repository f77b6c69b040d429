import NIOCore
import Tablecast

/// Writes a query's messages as lines of an HTTP response (NDJSON).
final class LineOutput: QueryOutput {
    let pipe = ResponsePipe()
    private let maxQueuedBytes: Int

    init(maxQueuedBytes: Int) { self.maxQueuedBytes = maxQueuedBytes }

    func send(event json: [UInt8]) { json.withUnsafeBytes { send($0) } }
    func send(rows json: UnsafeRawBufferPointer) { send(json) }
    var isWritable: Bool { pipe.queuedBytes < maxQueuedBytes }
    func finish() { pipe.finish() }

    private func send(_ json: UnsafeRawBufferPointer) {
        var line = ByteBuffer()
        line.reserveCapacity(json.count + 1)
        line.writeBytes(json)
        line.writeInteger(UInt8(ascii: "\n"))
        pipe.write(line)
    }
}
