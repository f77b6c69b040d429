import Broadcast
import NIOCore
import WebSocketTransport

/// How a ``WebSocketServer`` listens and whom it lets in.
///
/// Every default is the one that the service runs with when it is told nothing.
public struct ServerConfiguration: Sendable {
    /// Which web pages may open a connection. A browser always names the page's origin; programs mostly do not, and are let
    /// in.
    public enum Origins: Sendable, Hashable {
        /// Pages from the host and port that the request went to.
        case same
        /// Those, and the listed ones, such as `https://app.example.org`: scheme, host and, unless it is the scheme's own, port.
        /// What is none is logged, and lets nobody in.
        case sameAnd([String])
        /// Every page. A stranger's page can then read along and run queries in its visitor's name.
        case any
    }

    /// The certificate and key of WSS, both as paths of PEM files.
    public struct TLSFiles: Sendable, Hashable {
        /// The certificate first, then the intermediate ones.
        public var certificateChain: String
        /// Without a passphrase.
        public var privateKey: String

        public init(certificateChain: String, privateKey: String) {
            self.certificateChain = certificateChain
            self.privateKey = privateKey
        }
    }

    /// The address to listen on. `127.0.0.1`: nobody but this machine.
    public var host = "127.0.0.1"
    /// 3001. 0 takes any free port; see ``WebSocketServer/port``.
    public var port = 3001
    /// The path of the WebSocket.
    public var path = "/ws"
    /// Between heartbeats; a client that is silent over two of them is closed with 4408. 30 seconds.
    public var heartbeatInterval = Duration.seconds(30)
    /// The connections, WebSockets and event streams together, beyond which new ones are answered with 503. 100.
    public var maxConnections = 100
    /// WSS when given; plain WS otherwise.
    public var tls: TLSFiles?
    /// Which web pages may connect: those of the same host alone.
    public var origins = Origins.same
    /// Proxies, as IP addresses or networks such as `10.0.0.0/8`, whose `X-Forwarded-For` or `Forwarded` says which address a
    /// request is from. An invalid entry is logged and ignored. A proxy must set one of the two headers on every request.
    public var trustedProxies: [String] = []
    /// Who may connect, and as whom; nil lets in everybody who can reach the address, to do everything.
    public var authenticator: (any Authenticator)?
    /// Whether to compress for clients that ask for it (permessage-deflate, RFC 7692).
    public var allowsCompression = true
    /// Every other bound.
    public var limits = ServerLimits()
    /// Descriptors that the process has for sockets; nil where that is unknown.
    package var maxSockets: Int?

    public init() {}
}

/// Every bound of a ``WebSocketServer``, with its unit.
public struct ServerLimits: Sendable, Hashable {
    /// The largest message a client may send, after decompression. Beyond it the connection is closed with 1009. 1 MiB.
    public var maxMessageBytes = 1 << 20
    /// What may wait for one client that does not read, beyond which it is closed with 4413. 8 MiB.
    public var maxQueuedBytes = 8 << 20
    /// Messages that a client may send in one second on the average; 1,000.
    public var maxMessagesPerSecond = 1_000
    /// Messages that it may send at once after a silence; 2,000. Beyond it the connection is closed with 4429.
    public var maxMessageBurst = 2_000
    /// Messages that all connections of one identity may send together in one second on the average; 10,000. Without tokens
    /// those of one IP address, or IPv6 network of 64 bits, are one.
    public var maxMessagesPerSecondOfIdentity = 10_000
    /// Messages that they may send at once after a silence; 20,000. The connection that sends one more is closed with 4429.
    public var maxMessageBurstOfIdentity = 20_000
    /// Subscriptions to `tables` of one connection. 100.
    public var maxSubscriptionsPerConnection = 100
    /// Different filters on tables over all connections of one identity: each costs an encoding of each transaction. All
    /// clients without a token are one identity. 1,000.
    public var maxDistinctFilters = 1_000
    /// Different filters on tables over all identities. 10,000.
    public var maxDistinctFiltersInAll = 10_000
    /// What is kept of the latest transactions for clients that resume. 64 MiB.
    public var maxHistoryBytes = 64 << 20
    /// 100,000.
    public var maxHistoryTransactions = 100_000
    /// An hour.
    public var maxHistoryAge = Duration.seconds(3_600)
    /// Connections that are neither WebSockets nor event streams: those that have not said yet what they want, and those of
    /// HTTP requests. Beyond it the oldest that has not shown a token is closed for the new one. 512, and at least 256 more than
    /// ``ServerConfiguration/maxConnections``: after a restart all clients come at once.
    public var maxPendingConnections = 512
    /// Those of one IP address, or IPv6 network of 64 bits, that have not shown a token: beyond it the oldest of them is closed.
    /// 256, and at least ``ServerConfiguration/maxConnections``.
    public var maxUnauthenticatedPerAddress = 256
    /// From the connection to the first complete request. 10 seconds.
    public var handshakeTimeout = Duration.seconds(10)
    /// From our close frame to the client's. 5 seconds.
    public var closeTimeout = Duration.seconds(5)

    public init() {}
}

extension ServerConfiguration {
    var hubLimits: HubLimits {
        var result = HubLimits()
        result.maxQueuedBytes = limits.maxQueuedBytes
        result.maxSubscriptionsPerClient = limits.maxSubscriptionsPerConnection
        result.maxDistinctFilters = limits.maxDistinctFilters
        result.maxDistinctFiltersInAll = limits.maxDistinctFiltersInAll
        result.history.maxBytes = limits.maxHistoryBytes
        result.history.maxTransactions = limits.maxHistoryTransactions
        result.history.maxAge = limits.maxHistoryAge
        return result
    }

    var upgradePolicy: UpgradePolicy {
        UpgradePolicy(
            paths: [path],
            origins: upgradeOrigins,
            isForThisMachine: LoopbackAddress.contains(host) || host == "localhost",
            allowsCompression: allowsCompression,
            maxConnections: maxConnections
        )
    }

    var admission: ConnectionAdmission {
        ConnectionAdmission(
            maxPending: maxPending,
            maxUnknownPerAddress: min(max(limits.maxUnauthenticatedPerAddress, maxConnections), maxPending),
            trustedProxies: trustedProxies.compactMap { AddressRange($0) }
        )
    }

    /// ``ServerLimits/maxPendingConnections``, or what ``maxSockets`` leaves of it.
    private var maxPending: Int {
        let wanted = max(limits.maxPendingConnections, maxConnections + 256)
        guard let maxSockets else { return wanted }
        return max(min(wanted, maxSockets - maxConnections - Self.closingSockets), Self.minPending)
    }

    /// Sockets that are closed for others, and take a moment.
    private static let closingSockets = 32
    /// With fewer, a burst of clients would close one another's connections.
    private static let minPending = 128

    /// Sockets that may be open at the same time.
    package var maxOpenSockets: Int { maxConnections + maxPending + Self.closingSockets }

    private var upgradeOrigins: UpgradePolicy.Origins {
        switch origins {
        case .same: .same
        case .sameAnd(let others): .sameAnd(Set(others.compactMap { WebOrigin($0) }))
        case .any: .any
        }
    }

    var webSocketLimits: WebSocketLimits {
        var result = WebSocketLimits()
        result.maxMessageBytes = limits.maxMessageBytes
        result.heartbeatInterval = heartbeatInterval > .zero ? .init(heartbeatInterval) : nil
        result.handshakeTimeout = .init(limits.handshakeTimeout)
        result.closeTimeout = .init(limits.closeTimeout)
        return result
    }
}
