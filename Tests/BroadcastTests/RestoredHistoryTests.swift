import Broadcast
import NIOCore
import Synchronization
import Testing
import WireProtocol

/// Transactions in the order of their sequences, read when the test says so.
private final class TestArchive: HistoryArchive {
    private struct State {
        var base: UInt64? = 0
        var isReadable = true
        var loads: [@Sendable () -> Void] = []
        var count = 0
    }

    private let state = Mutex(State())
    /// Transactions of one part.
    private let partCount: Int

    init(partCount: Int = 2) { self.partCount = partCount }

    var base: UInt64? {
        get { state.withLock { $0.base } }
        set { state.withLock { $0.base = newValue } }
    }

    var isReadable: Bool {
        get { state.withLock { $0.isReadable } }
        set { state.withLock { $0.isReadable = newValue } }
    }

    /// How often it was read.
    var count: Int { state.withLock { $0.count } }

    func load(
        after position: Position,
        through last: UInt64,
        maxBytes: Int,
        _ done: @escaping @Sendable ([any Publication]?) -> Void
    ) {
        let end = min(last, position.sequence + UInt64(partCount))
        let part: [any Publication] = (position.sequence + 1...end).map { sequence in
            TestPublication(
                position: Position(epoch: position.epoch, sequence: sequence),
                tables: ["t"],
                byteCount: 100
            )
        }
        state.withLock { state in
            state.count += 1
            let isReadable = state.isReadable
            state.loads.append { done(isReadable ? part : nil) }
        }
    }

    /// Answers what was asked; false when nothing was.
    func answer() -> Bool {
        let loads = state.withLock { state in
            defer { state.loads = [] }
            return state.loads
        }
        for load in loads { load() }
        return !loads.isEmpty
    }
}

@Suite struct RestoredHistoryTests {
    private static func texts(_ range: ClosedRange<Int>) -> [String] { range.map { "e:\($0) t none" } }

    private static var limits: HubLimits {
        var limits = HubLimits()
        limits.history.maxTransactions = 2
        return limits
    }

    private func settle(_ test: TestHub, _ archive: TestArchive) {
        repeat { test.run() } while archive.answer()
    }

    private func restore(_ test: TestHub, _ sequences: ClosedRange<UInt64>, earlier: [String: UInt64]) {
        test.hub.restore(
            RestoredHistory(
                head: Position(epoch: "e", sequence: sequences.upperBound),
                publications: sequences.map {
                    TestPublication(position: Position(epoch: "e", sequence: $0), tables: ["t"], byteCount: 100)
                },
                earlierEpochs: earlier,
                time: 0
            )
        )
        test.skip(sequences.upperBound)
    }

    @Test func `a position of an earlier process goes on up to the last transaction that is known of it`() {
        let test = TestHub()
        restore(test, 3...5, earlier: ["a": 4, "b": 5])
        let (client, connection) = test.connect()
        for (epoch, since) in [("a", 3), ("a", 5), ("b", 5), ("c", 3), ("a", 1)] as [(String, UInt64)] {
            test.subscribeToTables(client, since: since, epoch: epoch)
            test.run()
        }
        #expect(
            connection.take() == ["subscribed tables e:3 true"] + Self.texts(4...5) + [
                // Beyond the end of its process; up to date; unknown; no longer kept.
                "subscribed tables e:5 false", "subscribed tables e:5 true", "subscribed tables e:5 false",
                "subscribed tables e:5 false",
            ]
        )
    }

    @Test func `a new epoch knows no earlier ones`() {
        let test = TestHub()
        restore(test, 1...5, earlier: ["a": 4])
        test.reset(epoch: "f")
        let (client, connection) = test.connect()
        test.subscribeToTables(client, since: 0, epoch: "a")
        test.run()
        #expect(connection.take() == ["subscribed tables f:0 false"])
    }

    @Test func `clients that are connected when an earlier history is restored begin again`() {
        let test = TestHub()
        let (client, connection) = test.connect()
        test.subscribeToTables(client)
        test.run()
        restore(test, 1...5, earlier: [:])
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:0", "subscribed tables e:5 false", "e:6 t none"])
    }

    @Test func `what is no longer in memory comes from the archive, then from memory, then live`() {
        let archive = TestArchive()
        let test = TestHub(limits: Self.limits, archive: archive)
        for _ in 0..<9 { test.publish("t") }
        let (client, connection) = test.connect()
        test.subscribeToTables(client, since: 1)
        test.run()
        test.publish("t")
        settle(test, archive)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:1 true"] + Self.texts(2...11))
        #expect(archive.count > 2)
    }

    @Test func `what the archive no longer has is not recovered`() {
        let archive = TestArchive()
        archive.base = 4
        let test = TestHub(limits: Self.limits, archive: archive)
        for _ in 0..<9 { test.publish("t") }
        let (client, connection) = test.connect()
        test.subscribeToTables(client, since: 3)
        settle(test, archive)
        test.subscribeToTables(client, since: 4)
        settle(test, archive)
        #expect(
            connection.take() == ["subscribed tables e:9 false", "subscribed tables e:4 true"] + Self.texts(5...9)
        )
    }

    @Test func `a replay that the archive cannot read closes the connection instead of leaving a gap`() {
        let archive = TestArchive()
        archive.isReadable = false
        let test = TestHub(limits: Self.limits, archive: archive)
        for _ in 0..<9 { test.publish("t") }
        let (client, connection) = test.connect()
        test.subscribeToTables(client, since: 1)
        settle(test, archive)
        #expect(connection.take() == ["subscribed tables e:1 true"])
        #expect(connection.closed == .tooSlow)
    }

    @Test func `a new epoch during a read from the archive ends the replay`() {
        let archive = TestArchive()
        let test = TestHub(limits: Self.limits, archive: archive)
        for _ in 0..<9 { test.publish("t") }
        let (client, connection) = test.connect()
        test.subscribeToTables(client, since: 1)
        test.run()
        test.reset(epoch: "f")
        settle(test, archive)
        test.publish("t")
        test.run()
        #expect(connection.take() == ["subscribed tables e:1 true", "subscribed tables f:0 false", "f:1 t none"])
    }

    @Test func `a client that disconnects during a read from the archive is released`() {
        let archive = TestArchive()
        let test = TestHub(limits: Self.limits, archive: archive)
        for _ in 0..<9 { test.publish("t") }
        let (client, connection) = test.connect()
        test.subscribeToTables(client, since: 1)
        test.run()
        test.hub.disconnect(client)
        settle(test, archive)
        #expect(connection.take() == ["subscribed tables e:1 true"])
        #expect(test.hub.statistics.clients == 0)
    }
}
