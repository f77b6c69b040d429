import NIOCore
package import NIOHTTP1

/// Rejects foreign web pages: RFC 6455 section 10.2.
///
/// A request without `Origin` does not come from a browser, and is allowed; tokens control the access of such programs.
struct OriginCheck {
    private let origins: UpgradePolicy.Origins
    private let isSecure: Bool
    /// Whether the request came to a loopback address, so that a legitimate page was loaded from one too. An attacker
    /// can point a DNS name to it (DNS rebinding): origin and host would then match, and both would be the attacker's.
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

    /// A proxy that terminates TLS speaks plain HTTP to this server, so on a plain connection a page from `https` at
    /// the same host and port is the same origin as well; the reverse would let a tampered plain page use a secure
    /// service.
    private func isSame(_ origin: WebOrigin, as hosts: [String]) -> Bool {
        guard hosts.count == 1, !isLoopback || Self.isLoopbackName(hosts[0]) else { return false }
        let schemes = isSecure ? ["https"] : ["http", "https"]
        return schemes.contains { WebOrigin(scheme: $0, host: hosts[0]) == origin }
    }

    /// Rejects a host name that belongs neither to this machine nor to a configured origin.
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
            "This server is only for this machine: its host is localhost, not this one; the server's operator "
                + "can add it to the allowed origins."
        )
    }

    /// Names that no public name server can define.
    private static func isLoopbackName(_ host: String) -> Bool {
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" }.dropFirst() : host.prefix { $0 != ":" }
        return name.lowercased() == "localhost" || LoopbackAddress.contains(name)
    }
}

extension UpgradePolicy {
    /// The same check for HTTP requests, which are as dangerous when a foreign page sends them.
    ///
    /// A browser sends no origin with a `GET` to what it considers the page's own host, so a server on a loopback
    /// address also checks the host name of the request.
    package func check(_ headers: HTTPHeaders, isSecure: Bool) throws(UpgradeRefusal) {
        let check = OriginCheck(origins, isSecure: isSecure, isLoopback: isForThisMachine)
        try check.check(headers)
        try check.checkHost(headers)
    }
}

/// The origin of a web page: scheme, host and port, in normalized form.
///
/// Source: [RFC 6454 sections 4 and 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-4).
package struct WebOrigin: Sendable, Hashable {
    /// The expected format of ``init(_:)``, for messages.
    package static let expectation =
        "a scheme, a host and, unless it is the scheme's own, a port, such as https://app.example.org"

    let scheme: String
    /// In lower case, with the port unless it is the scheme's default.
    let authority: String

    /// Parses `https://App.Example.org:443`, optionally with a slash at its end.
    ///
    /// - Returns: nil for values that are not an origin: a name without a scheme, an address with a path, or `null`,
    ///   which a sandboxed page sends.
    package init?(_ text: some StringProtocol) {
        let origin = HeaderTokens.trim(String(text)[...]).lowercased()
        guard let separator = origin.firstRange(of: "://") else { return nil }
        let rest = origin[separator.upperBound...]
        self.init(scheme: String(origin[..<separator.lowerBound]), host: rest.hasSuffix("/") ? rest.dropLast() : rest)
    }

    /// - Parameter host: as in the header `Host`, with or without a port.
    init?(scheme: String, host: some StringProtocol) {
        let defaultPort: UInt16
        switch scheme {
        case "http": defaultPort = 80
        case "https": defaultPort = 443
        default: return nil
        }
        let host = host.lowercased()
        // The colons within brackets are those of an IPv6 address.
        let bracket = host.firstIndex(of: "]").map(host.index(after:)) ?? host.startIndex
        let name = host[..<(host[bracket...].firstIndex(of: ":") ?? host.endIndex)]
        let port = host[name.endIndex...]
        guard !name.isEmpty, name.hasPrefix("[") == name.hasSuffix("]"), name.utf8.allSatisfy(Self.isHostByte) else {
            return nil
        }
        if port.isEmpty {
            authority = String(name)
        } else {
            guard port.first == ":", let number = UInt16(port.dropFirst()), number > 0 else { return nil }
            authority = number == defaultPort ? String(name) : "\(name):\(number)"
        }
        self.scheme = scheme
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte != 0x7F && !"/?#@\\\"<>^`{|}".utf8.contains(byte)
    }
}

/// The loopback addresses: 127.0.0.0/8 and ::1.
package enum LoopbackAddress {
    package static func contains(_ text: some StringProtocol) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let isV4 = parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
        return isV4 || text == "::1"
    }
}

extension SocketAddress {
    /// Includes the mapped form of an IPv4 connection on an IPv6 socket.
    var isLoopback: Bool {
        guard let ipAddress else { return false }
        return LoopbackAddress.contains(ipAddress.hasPrefix("::ffff:") ? ipAddress.dropFirst(7) : ipAddress[...])
    }
}
