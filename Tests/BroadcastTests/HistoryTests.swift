import NIOCore
import Testing
import WireProtocol

@testable import Broadcast

@Suite struct HistoryTests {
    private func position(_ sequence: UInt64) -> Position { Position(epoch: "e", sequence: sequence) }

    private func history(
        _ limits: HistoryLimits = HistoryLimits(),
        count: UInt64,
        byteCount: Int = 10,
        every seconds: Int64 = 0
    ) -> History {
        var history = History(start: position(100), limits: limits)
        for index in 0..<count {
            let publication = TestPublication(position: position(101 + index), tables: [], byteCount: byteCount)
            history.append(publication, now: .uptimeNanoseconds(0) + .seconds(seconds * Int64(index)))
        }
        return history
    }

    private func sequences(_ slice: History.Slice?) -> [UInt64]? { slice?.publications.map(\.position.sequence) }

    @Test func `everything after a position is there, from the start on`() {
        let history = history(count: 5)
        #expect(sequences(history.slice(after: position(100), maxBytes: 1000)) == [101, 102, 103, 104, 105])
        #expect(sequences(history.slice(after: position(103), maxBytes: 1000)) == [104, 105])
        #expect(sequences(history.slice(after: position(105), maxBytes: 1000)) == [])
        #expect(history.slice(after: position(99), maxBytes: 1000) == nil)
        #expect(history.slice(after: position(106), maxBytes: 1000) == nil)
        #expect(history.slice(after: Position(epoch: "f", sequence: 103), maxBytes: 1000) == nil)
    }

    @Test func `a slice is limited by bytes, and reports whether it reaches the end`() {
        let history = history(count: 5)
        let first = history.slice(after: position(100), maxBytes: 15)
        #expect(sequences(first) == [101, 102])
        #expect(first?.reachesHead == false)
        #expect(history.slice(after: position(103), maxBytes: 20)?.reachesHead == true)
        #expect(sequences(history.slice(after: position(100), maxBytes: 1)) == [101])
    }

    @Test func `bytes, count and age are bounded`() {
        var limits = HistoryLimits()
        limits.maxBytes = 30
        #expect(history(limits, count: 9).count == 3)
        limits = HistoryLimits()
        limits.maxTransactions = 4
        #expect(history(limits, count: 9).count == 4)
        limits = HistoryLimits()
        limits.maxAge = .seconds(10)
        var old = history(limits, count: 9, every: 5)
        #expect(old.count == 3)
        old.trim(now: .uptimeNanoseconds(0) + .seconds(1000))
        #expect(old.count == 0)
        #expect(old.byteCount == 0)
        #expect(old.isComplete(after: position(109)))
        #expect(!old.isComplete(after: position(108)))
    }

    @Test func `a transaction larger than the limit is not kept, and nothing before it`() {
        var limits = HistoryLimits()
        limits.maxBytes = 5
        let history = history(limits, count: 2)
        #expect(history.count == 0)
        #expect(history.head == position(102))
    }

    @Test func `what is pinned stays until the limit for pins`() {
        var limits = HistoryLimits()
        limits.maxBytes = 20
        limits.maxPinnedBytes = 30
        var history = history(limits, count: 2)
        history.pin(1, after: 101)
        for sequence in UInt64(103)...110 {
            history.append(
                TestPublication(position: position(sequence), tables: [], byteCount: 10),
                now: .uptimeNanoseconds(0)
            )
            if sequence == 106 {
                #expect(sequences(history.slice(after: position(101), maxBytes: 1000)) == [102, 103, 104, 105, 106])
            }
        }
        #expect(history.byteCount == 50)
        #expect(!history.isComplete(after: position(101)))
        history.unpin(1)
        history.trim(now: .uptimeNanoseconds(0))
        #expect(history.byteCount == 20)
    }
}

@Suite struct TextFrameTests {
    @Test(
        arguments: [
            (0, [0x81, 0]), (125, [0x81, 125]), (126, [0x81, 126, 0, 126]), (65_535, [0x81, 126, 0xFF, 0xFF]),
            (65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] as [(Int, [UInt8])]
    )
    func `a text frame has the shortest header for its length and no mask`(length: Int, header: [UInt8]) {
        let payload = ByteBuffer(repeating: 0x61, count: length)
        let frame = EncodedMessage(json: payload, type: .heartbeat).framed(for: .webSocket)
        #expect(Array(frame.readableBytesView.prefix(header.count)) == header)
        #expect(frame.readableBytes == header.count + length)
    }

    @Test(arguments: [100, 10_000, 100_000])
    func `a message from a writer has the frame of its JSON`(length: Int) {
        var writer = JSONWriter()
        writer.string(String(repeating: "ä", count: length))
        let message = EncodedMessage(writer, type: .heartbeat)
        #expect(Array(message.json.readableBytesView) == writer.bytes)
        let copy = EncodedMessage(json: ByteBuffer(bytes: writer.bytes), type: .heartbeat)
        #expect(message.framed(for: .webSocket) == copy.framed(for: .webSocket))
    }
}
