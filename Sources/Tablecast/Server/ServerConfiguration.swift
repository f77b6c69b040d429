import Broadcast
import NIOCore
import WebSocketTransport

/// The listening address and access settings of a ``WebSocketServer``.
///
/// The defaults are those of the command.
public struct ServerConfiguration: Sendable {
    /// The web pages that may open a connection. A browser always sends the page's origin; other programs usually do
    /// not, and are admitted.
    public enum Origins: Sendable, Hashable {
        /// Pages from the host and port that the request went to.
        case same
        /// Those, and the listed ones, such as `https://app.example.org`: scheme, host and, unless it is the scheme's own, port.
        /// An invalid origin is logged and ignored.
        case sameAnd([String])
        /// Every page. A foreign page can then read messages and run queries in its visitor's name.
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

    /// The address to listen on. `127.0.0.1`: only this machine.
    public var host = "127.0.0.1"
    /// 3001. 0 takes any free port; see ``WebSocketServer/port``.
    public var port = 3001
    /// The path of the WebSocket.
    public var path = "/ws"
    /// The interval between heartbeats; a client that is silent over two of them is closed with 4408. 30 seconds.
    public var heartbeatInterval = Duration.seconds(30)
    /// The number of WebSockets and event streams together beyond which new ones are answered with 503. 100.
    public var maxConnections = 100
    /// The files for WSS; plain WS if nil.
    public var tls: TLSFiles?
    /// The web pages that may connect: by default only those of the same host.
    public var origins = Origins.same
    /// Proxies, as IP addresses or networks such as `10.0.0.0/8`, whose `X-Forwarded-For` or `Forwarded` contains a
    /// request's address. An invalid entry is logged and ignored. A proxy must set one of the two headers on every
    /// request.
    public var trustedProxies: [String] = []
    /// Determines who may connect, and with which identity; nil admits every client that can reach the address, with
    /// all rights.
    public var authenticator: (any Authenticator)?
    /// Whether to compress for clients that request it (permessage-deflate, RFC 7692).
    public var allowsCompression = true
    /// All other limits.
    public var limits = ServerLimits()
    /// Descriptors that the process has for sockets; nil when that is unknown.
    package var maxSockets: Int?

    public init() {}
}

/// All limits of a ``WebSocketServer``, with their units.
public struct ServerLimits: Sendable, Hashable {
    /// The largest message a client may send, after decompression. Beyond it the connection is closed with 1009. 1 MiB.
    public var maxMessageBytes = 1 << 20
    /// Bytes that may wait for one client that does not read; beyond this it is closed with 4413. 8 MiB.
    public var maxQueuedBytes = 8 << 20
    /// Messages that a client may send per second on average; 1,000.
    public var maxMessagesPerSecond = 1_000
    /// Messages that it may send at once after a pause; 2,000. Beyond it the connection is closed with 4429.
    public var maxMessageBurst = 2_000
    /// Messages that all connections of one identity may send together in one second on the average; 10,000. Without tokens
    /// those of one IP address, or IPv6 network of 64 bits, are one.
    public var maxMessagesPerSecondOfIdentity = 10_000
    /// Messages that they may send at once after a silence; 20,000. The connection that sends one more is closed with 4429.
    public var maxMessageBurstOfIdentity = 20_000
    /// Subscriptions to `tables` of one connection. 100.
    public var maxSubscriptionsPerConnection = 100
    /// Distinct filters on tables over all connections of one identity: each costs one encoding of each transaction.
    /// All clients without a token are one identity. 1,000.
    public var maxDistinctFilters = 1_000
    /// Distinct filters on tables over all identities. 10,000.
    public var maxDistinctFiltersInAll = 10_000
    /// Bytes of the latest transactions that are kept for clients that resume. 64 MiB.
    public var maxHistoryBytes = 64 << 20
    /// 100,000.
    public var maxHistoryTransactions = 100_000
    /// An hour.
    public var maxHistoryAge = Duration.seconds(3_600)
    /// Connections that are neither WebSockets nor event streams: those without a request yet, and those of HTTP
    /// requests. Beyond it the oldest one without a token is closed for the new one. 512, and at least 256 more than
    /// ``ServerConfiguration/maxConnections``: after a restart all clients connect at once.
    public var maxPendingConnections = 512
    /// Connections of one IP address, or IPv6 network of 64 bits, that have not shown a token: beyond it the oldest of
    /// them is closed. 256, and at least ``ServerConfiguration/maxConnections``.
    public var maxUnauthenticatedPerAddress = 256
    /// The time from the connection to the first complete request. 10 seconds.
    public var handshakeTimeout = Duration.seconds(10)
    /// The time from our close frame to the client's. 5 seconds.
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

    /// Sockets that are being closed to make room for others.
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
