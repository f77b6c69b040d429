import Broadcast
import NIOCore
import NIOEmbedded
import RandomSupport
import Testing
import WireProtocol

/// Random calls on three event loops that run at random, against a model in which every call has its effect at once.
@Suite struct HubOracleTests {
    @Test(arguments: 1...12)
    func `every client gets exactly what the model says, in order`(seed: Int) throws {
        var run = OracleRun(seed: UInt64(seed))
        for _ in 0..<1500 { try run.step() }
        run.settle()
        run.check()
    }
}

private struct OracleRun {
    private static let tables = ["a", "b", "c", "d"]
    private static let kept = 40

    private let seed: UInt64
    private var random: SeededGenerator
    private let loops = (0..<3).map { _ in EmbeddedEventLoop() }
    private let hub: Hub
    private var model = HubModel(kept: kept)
    private var outlets: [ClientID: TestOutlet] = [:]
    private var holds: [(hold: Hub.Hold, at: UInt64)] = []
    private var number = 0

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        var limits = HubLimits()
        limits.history.maxTransactions = Self.kept
        limits.replayChunkBytes = 500
        limits.resumeQueuedBytes = 100
        limits.maxQueuedBytes = 3000
        limits.minGatheringClients = seed.isMultiple(of: 2) ? 1 : 64
        limits.gatheredBytes = 300
        hub = Hub(start: model.head, limits: limits)
    }

    mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<30: publish()
        case 30..<45: send()
        case 45..<50: connect()
        case 50..<52: disconnect()
        case 52..<64: try subscribe()
        case 64..<67: unsubscribe()
        case 67..<70: try hold()
        case 70..<75: release()
        case 75..<76: reset()
        case 76..<80: stall()
        case 80..<85: read()
        default: loops.randomElement(using: &random)?.run()
        }
    }

    private func anyClient(_ random: inout SeededGenerator) -> ClientID? {
        model.clients.keys.sorted { $0.description < $1.description }.randomElement(using: &random)
    }

    private func anyFilter(_ random: inout SeededGenerator) throws -> TableFilter {
        let tables = [nil, ["a"], ["b", "c"], ["[ab]"], ["A"]].randomElement(using: &random) ?? nil
        return try TableFilter(tables: tables, rowLevel: RowLevel.allCases.randomElement(using: &random) ?? .none)
    }

    private mutating func publish() {
        let count = Int.random(in: 0...3, using: &random)
        let tables = (0..<count).compactMap { _ in Self.tables.randomElement(using: &random) }
        hub.publish(model.publish(tables: tables))
    }

    private mutating func send() {
        number += 1
        let text = "m\(number)"
        let message = EncodedMessage(text)
        let channel: WireProtocol.Channel =
            [.queries, .notifications, .collaboration].randomElement(using: &random) ?? .queries
        let client = anyClient(&random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            hub.send(message, to: channel, except: client)
            model.send(text) { $0 != client && $1.listens(to: channel) }
        case 1:
            hub.sendToEveryone(message, except: client)
            model.send(text) { id, _ in id != client }
        default:
            guard let client else { return }
            hub.send(message, to: client)
            model.send(text) { id, _ in id == client }
        }
    }

    private mutating func connect() {
        guard model.clients.count < 25, let loop = loops.randomElement(using: &random) else { return }
        let outlet = TestOutlet(loop, Bool.random(using: &random) ? .lines : .otherLines)
        let client = hub.connect(outlet)
        outlets[client] = outlet
        model.clients[client] = HubModel.Client()
    }

    private mutating func disconnect() {
        guard let client = anyClient(&random) else { return }
        hub.disconnect(client)
        check(client, isComplete: false)
        model.clients[client] = nil
    }

    private mutating func subscribe() throws {
        guard let client = anyClient(&random) else { return }
        var request = SubscribeRequest(channel: WireProtocol.Channel.allCases.randomElement(using: &random) ?? .tables)
        if Bool.random(using: &random) { request.channel = .tables }
        if request.channel == .tables {
            request.filter = try anyFilter(&random)
            if Bool.random(using: &random) {
                let furthest = model.head.sequence + 2
                let nearest = furthest > 60 ? furthest - 60 : 0
                let epoch = Int.random(in: 0..<8, using: &random) == 0 ? "e0" : model.epoch
                request.since = Position(epoch: epoch, sequence: UInt64.random(in: nearest...furthest, using: &random))
            }
            // How far an earlier replay has come depends on the client's pace.
            if model.clients[client]?.mayBeReplaying == true { settle() }
        }
        guard model.clients[client] != nil else { return }
        try hub.subscribe(client, to: request)
        model.subscribe(client, request)
    }

    private mutating func unsubscribe() {
        guard let client = anyClient(&random), let channel = WireProtocol.Channel.allCases.randomElement(using: &random)
        else { return }
        if channel == .tables { settle() }
        guard model.clients[client] != nil else { return }
        hub.unsubscribe(client, from: channel)
        model.unsubscribe(client, from: channel)
    }

    private mutating func hold() throws {
        guard let client = anyClient(&random) else { return }
        settle()
        guard model.clients[client] != nil else { return }
        let filter = try anyFilter(&random)
        holds.append((try hub.hold(client, filter), model.head.sequence))
        model.hold(client, filter)
    }

    private mutating func release() {
        guard !holds.isEmpty else { return }
        let (hold, sequence) = holds.remove(at: Int.random(in: 0..<holds.count, using: &random))
        loops.forEach { $0.run() }
        guard hub.isHeld(hold) else { return }
        let position = UInt64.random(in: sequence...max(sequence, model.head.sequence + 2), using: &random)
        hub.release(hold, after: Position(epoch: model.epoch, sequence: position))
        model.release(hold.client, after: position)
    }

    private mutating func reset() {
        settle()
        model.reset()
        holds = []
        hub.reset(to: model.head)
    }

    private mutating func stall() {
        guard let client = anyClient(&random) else { return }
        outlets[client]?.isStalled = true
    }

    private mutating func read() {
        guard let client = anyClient(&random), let outlet = outlets[client] else { return }
        read(client, outlet)
    }

    private func read(_ client: ClientID, _ outlet: TestOutlet) {
        outlet.isStalled = false
        guard outlet.queuedBytes > 0 else { return }
        outlet.read()
        hub.drained(client)
    }

    /// Lets everybody read and everything arrive.
    mutating func settle() {
        loops.forEach { $0.run() }
        for (client, outlet) in outlets where outlet.closed == nil { read(client, outlet) }
        loops.forEach { $0.run() }
        for (client, outlet) in outlets where outlet.closed != nil {
            if model.clients[client] != nil { check(client, isComplete: false) }
            model.clients[client] = nil
            outlets[client] = nil
        }
        for client in model.clients.keys { model.clients[client]?.mayBeReplaying = false }
    }

    func check() {
        for client in model.clients.keys { check(client, isComplete: true) }
        #expect(hub.statistics.clients == model.clients.count, "seed \(seed)")
        #expect(Set(hub.filters) == Set(model.clients.values.compactMap(\.filter)), "seed \(seed)")
        loops.forEach { try? $0.syncShutdownGracefully() }
    }

    private func check(_ id: ClientID, isComplete: Bool) {
        guard let client = model.clients[id], let outlet = outlets[id] else { return }
        let received = outlet.received.map(gist)
        guard let expected = client.resolved(by: received) else {
            Issue.record("seed \(seed), \(id): a recovery ended wrongly: \(received)")
            return
        }
        // A replay goes at its own pace: others may overtake it then.
        for part in client.hasReplayed ? [isAboutTables, { !isAboutTables($0) }] : [{ _ in true }] {
            let wanted = expected.filter(part)
            let got = received.filter(part)
            let difference = zip(got, wanted).enumerated().first { $0.element.0 != $0.element.1 }
            #expect(
                isComplete ? got == wanted : wanted.starts(with: got),
                "seed \(seed), \(id): got \(got.count), wanted \(wanted.count), first difference \(String(describing: difference))"
            )
        }
    }
}

private func isAboutTables(_ text: String) -> Bool { text.hasPrefix("e") || text.contains("subscribed tables") }

extension Representation {
    fileprivate static let otherLines = Representation(name: "other lines") { message in
        ByteBuffer(string: "\n" + String(buffer: message.json) + "\n")
    }
}
