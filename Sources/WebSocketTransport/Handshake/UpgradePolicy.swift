/// Who may open a WebSocket, and on what terms.
package struct UpgradePolicy: Sendable {
    /// Which web pages may connect. A browser always says which page asks (`Origin`); programs mostly do not, and are
    /// not the danger: it is that any page on the internet could otherwise drive a service on its visitor's machine.
    package enum Origins: Sendable, Hashable {
        /// Pages from the host and port that the request went to. On a loopback address that host must be `localhost` or
        /// a loopback address too; behind a proxy on the same machine, list the page's origin.
        case same
        /// Those and the listed ones.
        case sameAnd(Set<WebOrigin>)
        /// Every page. Right only where nothing is lost when a stranger's page reads along and sends queries.
        case any
    }

    /// The paths, without a query, under which there is a WebSocket; others are 404, or left to the HTTP server.
    package var paths: [String]
    package var origins: Origins
    /// Whether the server is for its own machine, and so goes by no other name than `localhost` and those of the listed origins.
    package var isForThisMachine: Bool
    /// Whether to offer permessage-deflate to clients that ask for it.
    package var allowsCompression: Bool
    /// The connections beyond which new ones get 503.
    package var maxConnections: Int
    /// What `Retry-After` tells them.
    package var retryAfterSeconds: Int

    /// The one subprotocol, optional for the client.
    package static let subprotocol = "tablecast.v2"

    package init(
        paths: [String] = ["/ws"],
        origins: Origins = .same,
        isForThisMachine: Bool = true,
        allowsCompression: Bool = true,
        maxConnections: Int = 100,
        retryAfterSeconds: Int = 5
    ) {
        self.paths = paths
        self.origins = origins
        self.isForThisMachine = isForThisMachine
        self.allowsCompression = allowsCompression
        self.maxConnections = maxConnections
        self.retryAfterSeconds = retryAfterSeconds
    }
}
