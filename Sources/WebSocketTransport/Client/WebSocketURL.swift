/// Where a WebSocket client connects to: `ws://host:port/path?query`, or `wss://` over TLS.
package struct WebSocketURL: Sendable, Hashable, CustomStringConvertible {
    package let isSecure: Bool
    /// A name or an address; an IPv6 address without its brackets.
    package let host: String
    package let port: Int
    /// Path and query as they go into the request line.
    package let target: String

    /// Reads `ws`, `wss`, and for convenience `http` and `https`, addresses.
    ///
    /// - Throws: ``WebSocketClientError/invalidURL(_:expected:)``
    package init(_ text: String) throws(WebSocketClientError) {
        func invalid(_ expected: String) -> WebSocketClientError { .invalidURL(text, expected: expected) }
        guard let schemeEnd = text.firstRange(of: "://") else {
            throw invalid("an address that begins with ws:// or wss://")
        }
        switch text[..<schemeEnd.lowerBound].lowercased() {
        case "ws", "http": isSecure = false
        case "wss", "https": isSecure = true
        default: throw invalid("the scheme ws or wss")
        }
        let rest = text[schemeEnd.upperBound...].prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw invalid("no user name in the address") }
        var port = Substring()
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw invalid("a ']' after the IPv6 address") }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            port = authority[authority.index(after: end)...]
        } else {
            let end = authority.firstIndex(of: ":") ?? authority.endIndex
            host = String(authority[..<end])
            port = authority[end...]
        }
        guard !host.isEmpty else { throw invalid("a host name") }
        if port.isEmpty {
            self.port = isSecure ? 443 : 80
        } else if port.hasPrefix(":"), let number = Int(port.dropFirst()), (1...65_535).contains(number) {
            self.port = number
        } else {
            throw invalid("a port from 1 to 65535")
        }
        let path = rest[authority.endIndex...]
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw invalid("a path of printable ASCII characters, others percent-encoded")
        }
        target = path.hasPrefix("/") ? String(path) : "/\(path)"
    }

    /// The value of the `Host` header: the port only when it is not the scheme's own.
    var hostHeader: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    package var description: String { "\(isSecure ? "wss" : "ws")://\(hostHeader)\(target)" }
}
