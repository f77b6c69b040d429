import Synchronization
import WireProtocol

/// A publication on its way to the shards, with its messages for each subscription encoded once. Thread-safe.
///
/// The history keeps the publication without them, so that its limit in bytes holds.
final class Delivery: Sendable {
    let publication: any Publication
    private struct Encoded {
        var encoder: any PublicationEncoder
        var messages: [TableSubscription: [EncodedMessage]] = [:]
        var end: EncodedMessage?
    }

    private let encoded: Mutex<Encoded>

    init(_ publication: any Publication) {
        self.publication = publication
        encoded = Mutex(Encoded(encoder: publication.encoder()))
    }

    func messages(for subscription: TableSubscription) -> [EncodedMessage] {
        // Under the lock: a second shard waits for the first rather than encode the same again.
        encoded.withLock { encoded in
            if let known = encoded.messages[subscription] { return known }
            let messages = encoded.encoder.messages(for: subscription)
            encoded.messages[subscription] = messages
            return messages
        }
    }

    /// What ends the transaction for clients with several subscriptions.
    var end: EncodedMessage {
        encoded.withLock { encoded in
            if let known = encoded.end { return known }
            let end = EncodedMessage.transactionEnd(of: publication)
            encoded.end = end
            return end
        }
    }
}
