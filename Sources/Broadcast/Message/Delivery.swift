import Synchronization
import WireProtocol

/// A publication on its way to the shards, with its messages for each filter encoded once. Thread-safe.
///
/// The history keeps the publication without them, so that its limit in bytes holds.
final class Delivery: Sendable {
    let publication: any Publication
    private let encoded = Mutex<[TableFilter: [EncodedMessage]]>([:])

    init(_ publication: any Publication) { self.publication = publication }

    func messages(for filter: TableFilter) -> [EncodedMessage] {
        // Under the lock: a second shard waits for the first rather than encode the same again.
        encoded.withLock { encoded in
            if let known = encoded[filter] { return known }
            let messages = publication.messages(for: filter)
            encoded[filter] = messages
            return messages
        }
    }
}
