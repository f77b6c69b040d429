import Synchronization
package import WireProtocol

/// A committed transaction, ready to be sent to every client that subscribed to any part of it.
package protocol Publication: Sendable {
    var position: Position { get }

    /// The memory that keeping it takes, in bytes: what the history's limit counts.
    var byteCount: Int { get }

    /// Of the commit, in Unix milliseconds.
    var timestamp: Int64 { get }

    /// Makes the messages of the transaction. Dropped once it is delivered, so that it may keep what several
    /// subscriptions have in common.
    func encoder() -> any PublicationEncoder
}

/// Makes the messages of one transaction for one subscription after another.
package protocol PublicationEncoder: Sendable {
    /// What comes to this subscription, in order; empty when nothing of the transaction does. The same for every encoder of
    /// the transaction, ids and timestamps included.
    ///
    /// Called on the publisher's thread once for each distinct subscription. Called on an event loop for one that came
    /// meanwhile, and for each client that resumes.
    mutating func messages(for subscription: TableSubscription) -> [EncodedMessage]
}

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

/// What limits a client's view of other clients and of tables. Clients with equal restrictions get equal bytes.
package struct Restriction: Sendable, Hashable {
    /// Whose the client is.
    package let identityID: String
    /// The only tables that it may know of, as ``Restriction`` was made with them.
    package let tables: [String]

    package init(identityID: String, tables: [String]) {
        self.identityID = identityID
        self.tables = tables
    }
}

/// What a restricted client gets in place of a message; nil for nothing. Called on event loops, once for each group of clients
/// with equal rights: it chooses among messages that are made, or makes one at the first call.
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
