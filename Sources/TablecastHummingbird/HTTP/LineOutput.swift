import NIOCore
import Tablecast

/// Writes a query's messages as lines of an HTTP response (NDJSON).
final class LineOutput: QueryOutput {
    let pipe = ResponsePipe()
    private let maxQueuedBytes: Int

    init(maxQueuedBytes: Int) { self.maxQueuedBytes = maxQueuedBytes }

    func send(event json: [UInt8]) { send(json) }
    func send(rows json: [UInt8]) { send(json) }
    var isWritable: Bool { pipe.queuedBytes < maxQueuedBytes }
    func finish() { pipe.finish() }

    private func send(_ json: [UInt8]) {
        var line = ByteBuffer()
        line.reserveCapacity(json.count + 1)
        line.writeBytes(json)
        line.writeInteger(UInt8(ascii: "\n"))
        pipe.write(line)
    }
}
