package import NIOHTTP1

/// The response to a request for a WebSocket.
package enum UpgradeDecision: Sendable {
    case accept(UpgradeAcceptance)
    case refuse(UpgradeRefusal)
}

/// A successful handshake: the 101 response and the agreement.
package struct UpgradeAcceptance: Sendable, Equatable {
    /// The complete headers of the 101 response.
    package var headers: HTTPHeaders
    package var subprotocol: String?
    package var deflate: DeflateAgreement?
}

/// A failed handshake: a whole HTTP response with the reason in plain text.
package struct UpgradeRefusal: Error, Sendable, Equatable {
    package var status: HTTPResponseStatus
    /// Headers in addition to the content's type and length.
    package var headers: HTTPHeaders
    /// One sentence, plain text.
    package var reason: String

    package init(_ status: HTTPResponseStatus, _ reason: String, headers: HTTPHeaders = [:]) {
        self.status = status
        self.headers = headers
        self.reason = reason
    }
}

/// The conditions for opening a WebSocket.
package struct UpgradePolicy: Sendable {
    /// The web pages that may connect. A browser always sends the page's `Origin`; other programs usually do not, and
    /// are not the threat: without this check any page on the internet could use a service on its visitor's machine.
    package enum Origins: Sendable, Hashable {
        /// Pages from the host and port that the request went to. On a loopback address that host must be `localhost` or
        /// a loopback address too; behind a proxy on the same machine, list the page's origin.
        case same
        /// Those and the listed origins.
        case sameAnd(Set<WebOrigin>)
        /// Every page. Use it only where a foreign page may read everything and send queries.
        case any
    }

    /// The paths, without a query, that have a WebSocket; others get 404, or are left to the HTTP server.
    package var paths: [String]
    package var origins: Origins
    /// Whether the server is only for its own machine, and so accepts no host name other than `localhost` and those of
    /// the listed origins.
    package var isForThisMachine: Bool
    /// Whether to offer permessage-deflate to clients that request it.
    package var allowsCompression: Bool
    /// The number of connections beyond which new ones get 503.
    package var maxConnections: Int
    /// The value of `Retry-After` in that response.
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

/// Checks the opening handshake, RFC 6455 section 4.2. A pure function of the request and the policy.
package enum UpgradeRequest {
    /// Whether the request asks for a WebSocket. Otherwise it belongs to the HTTP server.
    package static func wantsWebSocket(_ head: HTTPRequestHead) -> Bool {
        HeaderTokens.contain("websocket", in: head.headers["Upgrade"])
    }

    /// The decision; the most helpful reason comes first: a wrong path before anything about the handshake.
    ///
    /// `isSecure`: the request came over TLS, which is part of the origin. `isLoopback`: it came to a loopback address.
    /// The number of connections is not checked here: see ``ClientCount``.
    package static func decide(
        _ head: HTTPRequestHead,
        policy: UpgradePolicy,
        isSecure: Bool,
        isLoopback: Bool
    ) -> UpgradeDecision {
        do throws(UpgradeRefusal) {
            try checkPath(head, policy)
            try checkMethod(head)
            let key = try checkedKey(head)
            let check = OriginCheck(policy.origins, isSecure: isSecure, isLoopback: isLoopback)
            try check.check(head.headers)
            if policy.isForThisMachine { try check.checkHost(head.headers) }
            return .accept(acceptance(head, key, policy))
        } catch {
            return .refuse(error)
        }
    }

    private static func checkPath(_ head: HTTPRequestHead, _ policy: UpgradePolicy) throws(UpgradeRefusal) {
        let path = head.uri.prefix { $0 != "?" && $0 != "#" }
        guard policy.paths.contains(String(path)) else {
            let known = policy.paths.joined(separator: ", ")
            throw UpgradeRefusal(.notFound, "There is no WebSocket at this path; connect to \(known).")
        }
    }

    private static func checkMethod(_ head: HTTPRequestHead) throws(UpgradeRefusal) {
        guard head.method == .GET else {
            throw UpgradeRefusal(.methodNotAllowed, "A WebSocket is opened with GET.", headers: ["Allow": "GET"])
        }
        guard (head.version.major, head.version.minor) >= (1, 1) else {
            throw UpgradeRefusal(.badRequest, "A WebSocket needs HTTP/1.1 or later.")
        }
    }

    private static func checkedKey(_ head: HTTPRequestHead) throws(UpgradeRefusal) -> WebSocketKey {
        let demand: HTTPHeaders = ["Upgrade": "websocket", "Sec-WebSocket-Version": "13"]
        guard wantsWebSocket(head) else {
            throw UpgradeRefusal(
                .upgradeRequired,
                "This is a WebSocket; connect with a WebSocket client.",
                headers: demand
            )
        }
        guard HeaderTokens.contain("upgrade", in: head.headers["Connection"]) else {
            throw UpgradeRefusal(.badRequest, "The header 'Connection' must contain 'Upgrade'; a proxy may remove it.")
        }
        let versions = HeaderTokens.elements(head.headers["Sec-WebSocket-Version"])
        guard versions == ["13"] else {
            throw UpgradeRefusal(.upgradeRequired, "The header 'Sec-WebSocket-Version' must be 13.", headers: demand)
        }
        let keys = head.headers["Sec-WebSocket-Key"]
        guard keys.count == 1, let key = WebSocketKey(String(HeaderTokens.trim(keys[0][...]))) else {
            throw UpgradeRefusal(.badRequest, "The header 'Sec-WebSocket-Key' must be the Base64 form of 16 bytes.")
        }
        return key
    }

    private static func acceptance(
        _ head: HTTPRequestHead,
        _ key: WebSocketKey,
        _ policy: UpgradePolicy
    ) -> UpgradeAcceptance {
        var headers: HTTPHeaders = [
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": key.accept,
        ]
        // Section 4.2.2: without a common subprotocol the header is omitted, and the connection is still opened.
        let offered = HeaderTokens.elements(head.headers["Sec-WebSocket-Protocol"])
        let subprotocol = offered.first { $0 == UpgradePolicy.subprotocol }
        if let subprotocol { headers.add(name: "Sec-WebSocket-Protocol", value: subprotocol) }
        var deflate: DeflateAgreement?
        if policy.allowsCompression {
            deflate = DeflateAgreement(offers: ExtensionOffer.parse(head.headers["Sec-WebSocket-Extensions"]))
        }
        if let deflate { headers.add(name: "Sec-WebSocket-Extensions", value: deflate.response) }
        return UpgradeAcceptance(headers: headers, subprotocol: subprotocol, deflate: deflate)
    }
}
