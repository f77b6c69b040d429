package import Broadcast

/// A connection that follows one query, and nothing else.
package struct LiveClient: Sendable {
    /// In the hub.
    package var id: ClientID
    package var identity: Identity

    package init(id: ClientID, identity: Identity) {
        self.id = id
        self.identity = identity
    }
}
