package import WireProtocol

/// A committed transaction, ready to be told to anybody who is interested in any part of it.
package protocol Publication: Sendable {
    var position: Position { get }

    /// The memory that keeping it takes, in bytes: what the history's limit counts.
    var byteCount: Int { get }

    /// What a subscriber with this filter gets, in order; empty when nothing concerns it.
    ///
    /// Called on the publisher's thread once for each distinct filter that is live. Called on an event loop for a filter
    /// that went live meanwhile, and for each client that resumes.
    func messages(for filter: TableFilter) -> [EncodedMessage]
}
