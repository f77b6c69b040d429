import Synchronization
package import WireProtocol

/// A committed transaction, ready to be sent to the clients that subscribed to any part of it.
package protocol Publication: Sendable {
    var position: Position { get }

    /// The memory of the publication in bytes, which the history's limit counts.
    var byteCount: Int { get }

    /// The time of the commit, in Unix milliseconds.
    var timestamp: Int64 { get }

    /// Creates an encoder for the messages of the transaction. The encoder is released after the delivery, so it may
    /// cache what several subscriptions share.
    func encoder() -> any PublicationEncoder
}

/// Encodes the messages of one transaction for one subscription after another.
package protocol PublicationEncoder: Sendable {
    /// The messages for this subscription, in order; empty when the transaction does not concern it. The same for every
    /// encoder of the transaction, ids and timestamps included.
    ///
    /// Called on the publisher's thread once for each distinct subscription. Called on an event loop for a later
    /// subscription, and for each client that resumes.
    mutating func messages(for subscription: TableSubscription) -> [EncodedMessage]
}

/// A publication on its way to the shards, with its messages encoded once for each subscription. Thread-safe.
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
        // Under the lock: a second shard waits for the first rather than encoding the same messages again.
        encoded.withLock { encoded in
            if let known = encoded.messages[subscription] { return known }
            let messages = encoded.encoder.messages(for: subscription)
            encoded.messages[subscription] = messages
            return messages
        }
    }

    /// The message that ends the transaction for clients with several subscriptions.
    var end: EncodedMessage {
        encoded.withLock { encoded in
            if let known = encoded.end { return known }
            let end = EncodedMessage.transactionEnd(of: publication)
            encoded.end = end
            return end
        }
    }
}

/// Restricts a client's view of other clients and of tables. Clients with equal restrictions get equal bytes.
package struct Restriction: Sendable, Hashable {
    /// The identity of the client.
    package let identityID: String
    /// The only tables that the client may know of, as passed to ``Restriction``.
    package let tables: [String]

    package init(identityID: String, tables: [String]) {
        self.identityID = identityID
        self.tables = tables
    }
}

/// The message for restricted clients in place of another one; nil for none. Called on event loops, once for each group
/// of clients with equal rights: it returns an existing message, or creates one at the first call.
package typealias RestrictedMessage = @Sendable (Restriction) -> EncodedMessage?

/// A new epoch, as `subscribed` with `recovered: false` for each subscription to tables, encoded once for all clients that
/// have it. Thread-safe.
final class EpochNotice: Sendable {
    let start: Position
    private let encoded = Mutex<[TableSubscription: EncodedMessage]>([:])

    init(_ start: Position) { self.start = start }

    func message(for subscription: TableSubscription) -> EncodedMessage {
        encoded.withLock { encoded in
            if let known = encoded[subscription] { return known }
            let payload = SubscribedPayload(
                channel: .tables,
                subscription: subscription.id,
                position: start,
                recovered: false
            )
            let message = EncodedMessage.subscribed(payload, replyTo: nil)
            encoded[subscription] = message
            return message
        }
    }
}
