import Broadcast
import Foundation
import NIOCore
import NIOPosix
import Testing
import WireProtocol

/// The cost of the hub itself, with 1,000 connections that only count. Run it manually, on an otherwise idle machine:
///
///     TABLECAST_BENCHMARK=1 TABLECAST_ONLY=wire swift test -c release -Xswiftc -enable-testing --filter HubBenchmark
@Suite(.enabled(if: ProcessInfo.processInfo.environment["TABLECAST_BENCHMARK"] != nil), .serialized)
struct HubBenchmark {
    private static let clients = 1000
    private static let publications = 20_000

    @Test(arguments: [1, 16, 256], [1, 10])
    func `deliveries a second`(burst: Int, filters: Int) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let start = Position(epoch: "e", sequence: 0)
        let hub = Hub(start: start)
        for index in 0..<Self.clients {
            let filter = try TableFilter(tables: ["t\(index % filters)"])
            try await loop.submit {
                let client = hub.connect(CountingConnection(loop))
                try hub.subscribe(client, to: [TableSubscription(filter)])
            }.get()
        }
        let message = ByteBuffer(repeating: UInt8(ascii: "x"), count: 250)
        let before = Self.cpuSeconds()
        var position = start
        for _ in 0..<(Self.publications / burst) {
            for _ in 0..<burst {
                position = position.next
                hub.publish(SameForAll(position: position, json: message))
            }
            try await loop.submit {}.get()
        }
        let nanoseconds = (Self.cpuSeconds() - before) * 1e9 / Double(Self.publications * Self.clients)
        print("bursts of \(burst), \(filters) filters: \(nanoseconds) ns of CPU for each delivery")
        try await group.shutdownGracefully()
    }

    private static func cpuSeconds() -> Double { Double(clock()) / Double(CLOCKS_PER_SEC) }
}

private final class CountingConnection: OutboundConnection {
    let eventLoop: any EventLoop
    let frameEncoding = FrameEncoding.webSocket
    let queuedBytes = 0
    private var writtenBytes = 0

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func write(_ frames: ByteBuffer) -> Int {
        writtenBytes += frames.readableBytes
        return 0
    }

    func close(_ code: CloseCode, reason: String) {}
}

private struct SameForAll: Publication, PublicationEncoder {
    let position: Position
    let json: ByteBuffer

    var byteCount: Int { 300 }

    var timestamp: Int64 { 0 }

    func encoder() -> any PublicationEncoder { self }

    func messages(for subscription: TableSubscription) -> [EncodedMessage] {
        [EncodedMessage(json: json, type: .tableModified)]
    }
}
