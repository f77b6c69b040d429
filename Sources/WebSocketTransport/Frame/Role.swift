/// Which end of a connection this is: a client masks what it sends, a server must not (RFC 6455 section 5.1).
package enum Role: Sendable, Hashable {
    case server
    case client

    /// Whether frames that arrive at this end bear a mask.
    var receivesMaskedFrames: Bool { self == .server }
}
