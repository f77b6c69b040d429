import Synchronization
package import WireProtocol

/// A committed transaction, ready to be sent to the clients that subscribed to any part of it.
package protocol Publication: Sendable {
    var position: Position { get }

    /// The memory of the publication in bytes, which the history's limit counts.
    var byteCount: Int { get }

    /// The time of the commit, in Unix milliseconds.
    var timestamp: Int64 { get }

    /// The position with which it was first published, from which the ids of its messages derive: before a restart it had another
    /// epoch.
    var firstPosition: Position { get }

    /// Creates an encoder for the messages of the transaction. The encoder is released after the delivery, so it may
    /// cache what several subscriptions share.
    func encoder() -> any PublicationEncoder

    /// The same transaction after its epoch got another name; its messages keep their ids.
    func renamed(to epoch: String) -> any Publication
}

extension Publication {
    package var firstPosition: Position { position }

    /// Only the publications of a relay's source are renamed while they are in memory.
    package func renamed(to epoch: String) -> any Publication { self }
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
        /// Most often there is only one.
        var first: (subscription: TableSubscription, messages: [EncodedMessage])?
        var others: [TableSubscription: [EncodedMessage]] = [:]
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
            if let first = encoded.first, first.subscription == subscription { return first.messages }
            if let known = encoded.others[subscription] { return known }
            let messages = encoded.encoder.messages(for: subscription)
            if encoded.first == nil {
                encoded.first = (subscription, messages)
            } else {
                encoded.others[subscription] = messages
            }
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
    /// The rows that it may see of these tables.
    package let rules: [TableRule]

    package init(identityID: String, tables: [String], rules: [TableRule] = []) {
        self.identityID = identityID
        self.tables = tables
        self.rules = rules
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
                recovered: false,
                reason: .newEpoch
            )
            let message = EncodedMessage.subscribed(payload, replyTo: nil)
            encoded[subscription] = message
            return message
        }
    }
}

/// The transactions that earlier processes published, for a process that continues their epoch.
package struct RestoredHistory: Sendable {
    /// The position of the last transaction.
    package var head: Position
    /// The newest transactions up to ``head``, in order and without a gap.
    package var publications: [any Publication]
    /// The epochs of positions of earlier processes, each with the last sequence that is valid in it.
    package var earlierEpochs: [String: UInt64]
    /// Now, in Unix milliseconds: for the age of the transactions.
    package var time: Int64

    package init(head: Position, publications: [any Publication], earlierEpochs: [String: UInt64], time: Int64) {
        self.head = head
        self.publications = publications
        self.earlierEpochs = earlierEpochs
        self.time = time
    }
}

/// Keeps published transactions longer than the hub's history in memory, and for later processes. Thread-safe.
package protocol HistoryArchive: Sendable {
    /// All transactions after this sequence can be read; nil when none can. Does not block.
    var base: UInt64? { get }

    /// Reads the transactions after `position`, at least one, through this sequence, and up to `maxBytes`, on another thread.
    ///
    /// - Parameter done: called once, on any thread; with nil when the transactions cannot be read.
    func load(
        after position: Position,
        through last: UInt64,
        maxBytes: Int,
        _ done: @escaping @Sendable ([any Publication]?) -> Void
    )
}
