import Broadcast
import NIOCore
import NIOEmbedded
import Testing
import WireProtocol

/// How an event loop with many clients delays its writes.
@Suite struct GatheringTests {
    /// Publishes one message in each turn of the event loop, and counts the writes.
    private struct TurnByTurn {
        let test: TestHub
        let connections: [TestConnection]
        let text = "12345678"

        init(clients: Int, gatheredBytes: Int = 8 << 10) {
            var limits = HubLimits()
            limits.minGatheringClients = 10
            limits.gatheredBytes = gatheredBytes
            let test = TestHub(limits: limits)
            self.test = test
            connections = (0..<clients).map { _ in test.connect().1 }
            test.run()
        }

        func publish(_ count: Int) {
            guard count > 0 else { return }
            test.hub.send(EncodedMessage(text), to: .notifications)
            test.loop.execute { publish(count - 1) }
        }

        func writes(for count: Int) -> Set<Int> {
            publish(count)
            test.run()
            for connection in connections { #expect(connection.take() == Array(repeating: text, count: count)) }
            return Set(connections.map(\.writes))
        }
    }

    @Test func `what is published in successive turns is one write for each of many clients`() {
        #expect(TurnByTurn(clients: 10).writes(for: 20) == [1])
    }

    @Test func `few clients get everything in the turn after it was published`() {
        #expect(TurnByTurn(clients: 9).writes(for: 20) == [20])
    }

    @Test func `nothing waits for more than is worth it`() {
        #expect(TurnByTurn(clients: 10, gatheredBytes: 32).writes(for: 20) == [5])
    }

    // MARK: Decisions only

    private static let start = NIODeadline.uptimeNanoseconds(1)

    private func waits(_ gathering: inout WriteCoalescer, _ items: Int, after time: TimeAmount = .zero) -> Bool {
        gathering.waits(
            WriteCoalescer.Pending(items: items, bytes: items),
            clients: 1000,
            now: Self.start + time
        )
    }

    @Test func `a turn that brings nothing ends the waiting`() {
        var gathering = WriteCoalescer(limits: HubLimits())
        #expect(waits(&gathering, 1))
        #expect(waits(&gathering, 2))
        #expect(!waits(&gathering, 2))
        // The next delay starts again.
        #expect(waits(&gathering, 1))
    }

    @Test func `the waiting ends, although every turn brings more`() {
        var gathering = WriteCoalescer(limits: HubLimits())
        #expect(waits(&gathering, 1))
        #expect(waits(&gathering, 2, after: .microseconds(499)))
        #expect(!waits(&gathering, 3, after: .microseconds(500)))
        #expect(waits(&gathering, 1, after: .microseconds(500)))
    }
}
