import Broadcast
import NIOCore
import WebSocketTransport

/// The listening address and access settings of a ``WebSocketServer``.
///
/// The defaults are those of the command.
public struct ServerConfiguration: Sendable {
    /// The web pages that may open a connection. A browser always sends the page's origin; other programs usually do
    /// not, and are admitted.
    ///
    /// Later versions can have further cases: handle those you need, and others with `default`.
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
    /// The interval between heartbeats; a client that is silent over two of them is closed with 4408. Zero for none. The
    /// same as `limits.connection.heartbeatInterval`.
    public var heartbeatInterval: Duration {
        get { limits.connection.heartbeatInterval ?? .zero }
        set { limits.connection.heartbeatInterval = newValue > .zero ? newValue : nil }
    }
    /// The number of WebSockets and event streams together beyond which new ones are answered with 503. The same as
    /// ``ClientLimits/maxConnections``.
    public var maxConnections: Int {
        get { limits.clients.maxConnections }
        set { limits.clients.maxConnections = newValue }
    }
    /// The files for WSS; plain WS if nil.
    public var tls: TLSFiles?
    /// The web pages that may connect: by default only those of the same host.
    public var origins = Origins.same
    /// Proxies, as IP addresses or networks such as `10.0.0.0/8`, whose `X-Forwarded-For` or `Forwarded` contains a
    /// request's address. An invalid entry is logged and ignored. A proxy must set one of the two headers on every
    /// request.
    public var trustedProxies: [String] = []
    /// Determines who may connect, and with which identity; nil admits every client that can reach the address, with
    /// the rights of ``Role/admin`` except to change settings of the file such as `journal_mode`.
    public var authenticator: (any Authenticator)?
    /// Whether to compress for clients that request it (permessage-deflate, RFC 7692).
    public var allowsCompression = true
    /// All limits, those of the database's queries included.
    public var limits = Limits()
    /// Descriptors that the process has for sockets; nil when that is unknown.
    package var maxSockets: Int?

    public init() {}
}

extension ServerConfiguration {
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
            maxUnknownPerAddress: min(max(limits.clients.maxUnauthenticatedPerAddress, maxConnections), maxPending),
            trustedProxies: trustedProxies.compactMap { AddressRange($0) }
        )
    }

    /// ``ClientLimits/maxPendingConnections``, or what ``maxSockets`` leaves of it.
    private var maxPending: Int {
        let wanted = max(limits.clients.maxPendingConnections, maxConnections + 256)
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
}
