package import NIOHTTP1

/// Keeps foreign web pages out: RFC 6455 section 10.2.
///
/// No `Origin` means that no browser asks, and is allowed; what such a program may do is the business of tokens.
struct OriginCheck {
    private let origins: UpgradePolicy.Origins
    private let isSecure: Bool
    /// The request came to a loopback address, so that an honest page of ours was loaded from one too. A stranger could
    /// let a name of his own point there (DNS rebinding): origin and host would match, and be his.
    private let isLoopback: Bool

    init(_ origins: UpgradePolicy.Origins, isSecure: Bool, isLoopback: Bool) {
        self.origins = origins
        self.isSecure = isSecure
        self.isLoopback = isLoopback
    }

    func check(_ headers: HTTPHeaders) throws(UpgradeRefusal) {
        let stated = headers["Origin"]
        guard !stated.isEmpty, origins != .any else { return }
        guard stated.count == 1, let origin = WebOrigin(stated[0]) else {
            throw UpgradeRefusal(.forbidden, "The header 'Origin' is not an origin such as http://localhost:3001.")
        }
        if isSame(origin, as: headers["Host"]) { return }
        if case .sameAnd(let others) = origins, others.contains(origin) { return }
        throw UpgradeRefusal(
            .forbidden,
            "Pages from this origin may not connect; the server's operator can add it to the allowed origins."
        )
    }

    /// A proxy that ends TLS speaks plain HTTP to us, so on a plain connection a page from `https` at the same host and
    /// port counts as ours as well; the reverse would let a tampered plain page into a secure service.
    private func isSame(_ origin: WebOrigin, as hosts: [String]) -> Bool {
        guard hosts.count == 1, !isLoopback || Self.isLoopbackName(hosts[0]) else { return false }
        let schemes = isSecure ? ["https"] : ["http", "https"]
        return schemes.contains { WebOrigin(scheme: $0, host: hosts[0]) == origin }
    }

    /// Refuses a host's name that is neither of this machine nor of a configured origin.
    func checkHost(_ headers: HTTPHeaders) throws(UpgradeRefusal) {
        guard isLoopback, origins != .any, let host = headers.first(name: "Host"), !Self.isLoopbackName(host) else {
            return
        }
        if case .sameAnd(let others) = origins,
            others.contains(where: { WebOrigin(scheme: $0.scheme, host: HeaderTokens.trim(host[...])) == $0 })
        {
            return
        }
        throw UpgradeRefusal(
            .forbidden,
            "This server listens for this machine alone and answers to localhost, not to this host; the server's operator "
                + "can add it to the allowed origins."
        )
    }

    /// Names that no public name server has a say in.
    private static func isLoopbackName(_ host: String) -> Bool {
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" }.dropFirst() : host.prefix { $0 != ":" }
        return name.lowercased() == "localhost" || LoopbackAddress.contains(name)
    }
}

extension UpgradePolicy {
    /// The same judgement for requests that are none for a WebSocket, but as dangerous in the hands of a foreign page.
    ///
    /// A browser does not say the origin of a `GET` to what it takes for the page's own host, so a server on a loopback
    /// address also looks at the name that it is called by.
    package func check(_ headers: HTTPHeaders, isSecure: Bool) throws(UpgradeRefusal) {
        let check = OriginCheck(origins, isSecure: isSecure, isLoopback: isForThisMachine)
        try check.check(headers)
        try check.checkHost(headers)
    }
}
