import Broadcast
import Synchronization
import WireProtocol

final class Counter: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func increment() { value.withLock { $0 += 1 } }
}

final class Answers: Sendable {
    private let values = Mutex<[Bool]>([])
    var all: [Bool] { values.withLock { $0 } }
    func add(_ answer: Bool) { values.withLock { $0.append(answer) } }
}

/// Records the subscriptions for which messages were requested.
final class CountingPublication: Publication, PublicationEncoder {
    let position: Position
    let byteCount = 1
    private let subscriptions = Mutex<[TableSubscription]>([])
    var asked: [TableSubscription] { subscriptions.withLock { $0 } }

    init(position: Position) { self.position = position }

    var timestamp: Int64 { 0 }

    func encoder() -> any PublicationEncoder { self }

    func messages(for subscription: TableSubscription) -> [EncodedMessage] {
        subscriptions.withLock { $0.append(subscription) }
        return [EncodedMessage("\(position)")]
    }
}
