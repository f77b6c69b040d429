import Broadcast
import NIOCore
import NIOEmbedded
import Testing
import WireProtocol

/// A hub whose event loop and clock only advance when the test says so.
final class TestHub {
    let loop = EmbeddedEventLoop()
    let hub: Hub
    private(set) var sequence: UInt64 = 0
    private(set) var epoch = "e"

    init(
        limits: HubLimits = HubLimits(),
        archive: (any HistoryArchive)? = nil,
        clock: @escaping @Sendable () -> NIODeadline = { .uptimeNanoseconds(0) }
    ) {
        hub = Hub(start: Position(epoch: "e", sequence: 0), limits: limits, archive: archive, clock: clock)
    }

    deinit { try? loop.syncShutdownGracefully() }

    func connect(channels: Channels = .notifications) -> (ClientID, TestConnection) {
        let connection = TestConnection(loop)
        let client = hub.connect(connection, channels: channels)
        return (client, connection)
    }

    func subscribeToTables(
        _ client: ClientID,
        _ filter: TableFilter = .everything,
        since: UInt64? = nil,
        epoch: String? = nil,
        replacing replaced: TableFilter? = nil
    ) {
        let position = since.map { Position(epoch: epoch ?? self.epoch, sequence: $0) }
        do throws(ProtocolError) {
            let replaced = replaced.map { TableSubscription($0).id }
            try hub.subscribe(client, to: [TableSubscription(filter)], since: position, replacing: replaced)
        } catch {
            Issue.record("\(error)")
        }
    }

    @discardableResult
    func publish(_ tables: String..., byteCount: Int = 100) -> Position {
        sequence += 1
        let position = Position(epoch: epoch, sequence: sequence)
        hub.publish(TestPublication(position: position, tables: tables, byteCount: byteCount))
        return position
    }

    /// Transactions that are not published.
    func skip(_ count: UInt64) { sequence += count }

    func reset(epoch: String) {
        self.epoch = epoch
        sequence = 0
        hub.reset(to: Position(epoch: epoch, sequence: 0))
    }

    func run() { loop.run() }
}

extension Hub {
    var filters: [TableFilter] { subscriptions.map(\.filter) }

    func hold(_ client: ClientID, _ filter: TableFilter) throws(ProtocolError) -> SnapshotHold {
        try hold(client, TableSubscription(filter))
    }

    func release(_ hold: SnapshotHold, after position: Position) {
        release(hold, EncodedMessage("snapshot end"), after: position)
    }
}

extension TestConnection {
    /// Returns and removes the received messages, with shortened acknowledgements.
    func take() -> [String] {
        defer { forget() }
        return received.map(gist)
    }
}
