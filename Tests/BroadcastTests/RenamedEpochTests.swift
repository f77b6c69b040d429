import Testing
import WireProtocol

@testable import Broadcast

/// The epoch of a relay's source gets another name while clients are connected, and clients come from other relays.
struct RenamedEpochTests {
    private func position(_ sequence: UInt64, _ epoch: String) -> Position {
        Position(epoch: epoch, sequence: sequence)
    }

    @Test func `positions of both epochs are valid`() {
        var history = History(start: position(3, "old"), limits: HistoryLimits())
        history.rename(to: "new", earlier: ["older": 2, "old": 5])
        #expect(history.head == position(3, "new"))
        #expect(history.resolve(position(3, "old")) == position(3, "new"))
        #expect(history.resolve(position(5, "old")) == position(5, "new"))
        #expect(history.resolve(position(2, "older")) == position(2, "new"))
    }

    @Test func `a position beyond the last of its epoch is unknown`() {
        var history = History(start: position(3, "old"), limits: HistoryLimits())
        history.rename(to: "new", earlier: ["old": 5])
        #expect(history.resolve(position(6, "old")) == position(6, "old"))
        #expect(!history.isComplete(after: history.resolve(position(6, "old"))))
    }

    @Test func `without a list the old epoch is valid up to the newest transaction`() {
        var history = History(start: position(3, "old"), limits: HistoryLimits())
        history.rename(to: "new")
        #expect(history.earlierEpochs == ["old": 3])
        history.rename(to: "new", earlier: ["old": 4])
        #expect(history.earlierEpochs == ["old": 4])
    }

    private func start(_ sequencer: inout Sequencer, since: Position) throws -> SubscriptionChange.Start? {
        let client = ClientID(shard: sequencer.addShard(), number: sequencer.nextNumber())
        sequencer.clientCame(client, owner: "")
        _ = try sequencer.subscribe(
            client,
            to: [TableSubscription(.everything)],
            since: since,
            replacing: nil,
            SubscriptionReply(replyTo: nil, list: nil)
        )
        guard
            case .change(.subscribeToTables(let change), _)? = sequencer.take(for: client.shard, adding: .init()).items
                .last
        else { return nil }
        return change.start
    }

    @Test func `only a relay waits for positions that it has not published`() throws {
        var source = Sequencer(start: position(3, "a"), limits: HubLimits())
        #expect(try start(&source, since: position(5, "a")) == .live(recovered: false))
        var relay = Sequencer(start: position(3, "a"), limits: HubLimits(), waitsForLaterPositions: true)
        #expect(try start(&relay, since: position(5, "a"))?.recovered == true)
        #expect(try start(&relay, since: position(5, "b")) == .live(recovered: false))
    }
}
