import Broadcast
import NIOCore
import NIOPosix
import RandomSupport
import Testing
import WireProtocol

/// Real threads: nothing is lost or repeated while commits arrive and clients connect, disconnect and resume.
@Suite struct HubThreadsTests {
    @Test func `clients that leave and resume while commits pour in see each transaction once and in order`()
        async throws
    {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let start = Position(epoch: "e", sequence: 0)
        var limits = HubLimits()
        limits.replayChunkBytes = 4000
        limits.resumeQueuedBytes = 2000
        limits.maxQueuedBytes = 20_000
        limits.minGatheringClients = 2
        let hub = Hub(start: start, limits: limits)
        let last: UInt64 = 20_000
        var finished: [EventLoopFuture<Follower.Report>] = []
        for seed in 0..<30 {
            let loop = group.next()
            let promise = loop.makePromise(of: Follower.Report.self)
            finished.append(promise.futureResult)
            loop.execute {
                Follower(hub, loop, until: last, seed: UInt64(seed), promise).connect(since: start)
            }
        }
        let publisher = Task.detached {
            var position = start
            while position.sequence < last {
                position = position.next
                hub.publish(TestPublication(position: position, tables: ["t"]))
            }
        }
        await publisher.value
        var reconnects = 0
        for future in finished {
            let report = try await future.get()
            #expect(report.faults == [])
            reconnects += report.reconnects
        }
        #expect(reconnects > 30)
        #expect(hub.statistics.clients == 0)
        #expect(hub.filters == [])
        try await group.shutdownGracefully()
    }
}

/// A client on a real event loop that reads at its own pace, disconnects now and then, and resumes at its position.
private final class Follower {
    struct Report {
        var faults: [String] = []
        var reconnects = 0
    }

    private let hub: Hub
    private let loop: any EventLoop
    private let end: UInt64
    private let promise: EventLoopPromise<Report>
    private var random: SeededGenerator
    private var seen: UInt64 = 0
    private var report = Report()
    private var connection: Connection?

    init(_ hub: Hub, _ loop: any EventLoop, until end: UInt64, seed: UInt64, _ promise: EventLoopPromise<Report>) {
        self.hub = hub
        self.loop = loop
        self.end = end
        self.promise = promise
        random = SeededGenerator(seed: seed)
    }

    func connect(since position: Position) {
        let connection = Connection(loop, self)
        self.connection = connection
        let client = hub.connect(connection)
        connection.client = client
        do {
            try hub.subscribe(client, to: [TableSubscription(.everything)], since: position)
        } catch {
            report.faults.append("\(error)")
        }
    }

    func received(_ text: String) {
        if text.hasPrefix("subscribed") {
            if !text.hasSuffix("e:\(seen) true") { report.faults.append("after \(seen): \(text)") }
        } else if text == "e:\(seen + 1) t none" {
            seen += 1
        } else {
            report.faults.append("after \(seen): \(text)")
        }
    }

    /// After a write: continues to read, leaves, or is done.
    func wrote(_ connection: Connection) {
        guard connection === self.connection else { return }
        if seen >= end || report.faults.count > 10 {
            leave(connection)
            promise.succeed(report)
        } else if Int.random(in: 0..<40, using: &random) == 0 {
            leave(connection)
            comeBack()
        } else if connection.isWaiting {
            // Three turns later, so that more arrives meanwhile.
            later(3) {
                guard connection === self.connection else { return }
                connection.read()
                if let client = connection.client { self.hub.drained(client) }
            }
        }
    }

    func closed(_ connection: Connection) {
        guard connection === self.connection else { return }
        self.connection = nil
        comeBack()
    }

    private func leave(_ connection: Connection) {
        self.connection = nil
        if let client = connection.client { hub.disconnect(client) }
    }

    private func comeBack() {
        report.reconnects += 1
        later(2) { self.connect(since: Position(epoch: "e", sequence: self.seen)) }
    }

    private func later(_ turns: Int, _ body: @escaping () -> Void) {
        loop.assumeIsolated().execute {
            if turns > 0 { self.later(turns - 1, body) } else { body() }
        }
    }
}

private final class Connection: OutboundConnection {
    let eventLoop: any EventLoop
    let frameEncoding = FrameEncoding.lines
    private(set) var queuedBytes = 0
    var client: ClientID?
    private let follower: Follower

    init(_ eventLoop: any EventLoop, _ follower: Follower) {
        self.eventLoop = eventLoop
        self.follower = follower
    }

    var isWaiting: Bool { queuedBytes > 0 }

    func read() { queuedBytes = 0 }

    func write(_ frames: ByteBuffer) -> Int {
        for line in String(buffer: frames).split(separator: "\n") { follower.received(gist(String(line))) }
        queuedBytes += frames.readableBytes
        follower.wrote(self)
        return queuedBytes
    }

    func close(_ code: CloseCode, reason: String) { follower.closed(self) }
}
