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

/// Remembers for which filters it was asked.
final class CountingPublication: Publication {
    let position: Position
    let byteCount = 1
    private let filters = Mutex<[TableFilter]>([])
    var asked: [TableFilter] { filters.withLock { $0 } }

    init(position: Position) { self.position = position }

    func messages(for filter: TableFilter) -> [EncodedMessage] {
        filters.withLock { $0.append(filter) }
        return [EncodedMessage("\(position)")]
    }
}
