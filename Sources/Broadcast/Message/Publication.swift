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
