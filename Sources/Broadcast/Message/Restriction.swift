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
