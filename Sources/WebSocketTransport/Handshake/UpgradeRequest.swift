package import NIOHTTP1

/// Judges the opening handshake, RFC 6455 section 4.2. A pure function of the request and the policy.
package enum UpgradeRequest {
    /// Whether the client asks for a WebSocket at all. If not, the request belongs to the HTTP server.
    package static func wantsWebSocket(_ head: HTTPRequestHead) -> Bool {
        HeaderTokens.contain("websocket", in: head.headers["Upgrade"])
    }

    /// The decision, in the order in which the reasons help most: a wrong path before anything about the handshake.
    ///
    /// `isSecure` says that the request came over TLS, which is part of what "same origin" means; `isLoopback`
    /// that it came to a loopback address. Whether there is room for one more is not judged here: see ``ClientCount``.
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
        // Section 4.2.2: without a protocol in common there is no header, and the connection is still made.
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
