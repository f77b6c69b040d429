package import NIOHTTP1

/// Receives events of connections before they are clients. Called on event loops; must not block.
package protocol TransportObserver: Sendable {
    /// A connection was accepted; `address` is nil for one without an IP address.
    func accepted(from address: ClientAddress?)
    /// A connection was closed at once, because its address or the server has too many connections without a token.
    func turnedAway(from address: ClientAddress?)
    /// The head of a request has arrived.
    func requested(_ head: HTTPRequestHead, from address: ClientAddress?)
    /// A request was refused before it became a WebSocket or an HTTP request of the application.
    func refused(_ refusal: UpgradeRefusal, from address: ClientAddress?)
}
