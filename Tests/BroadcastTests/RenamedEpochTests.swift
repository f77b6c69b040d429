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

    @Test func `a client that cannot resume receives the reason`() throws {
        var sequencer = Sequencer(start: position(3, "a"), limits: HubLimits())
        sequencer.rename(to: "b", earlier: ["a": 3])
        #expect(try start(&sequencer, since: position(4, "b")) == .live(notResumed: .beyondEnd))
        #expect(try start(&sequencer, since: position(4, "a")) == .live(notResumed: .beyondEnd))
        #expect(try start(&sequencer, since: position(2, "b")) == .live(notResumed: .notKept))
        #expect(try start(&sequencer, since: position(3, "c")) == .live(notResumed: .otherEpoch))
        #expect(try start(&sequencer, since: position(3, "a"))?.recovered == true)
    }
}
