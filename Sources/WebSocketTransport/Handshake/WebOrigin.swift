/// The origin of a web page: scheme, host and port, in the form in which equal ones are equal.
///
/// Source: [RFC 6454 sections 4 and 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-4).
package struct WebOrigin: Sendable, Hashable {
    /// What ``init(_:)`` takes, for messages.
    package static let expectation =
        "a scheme, a host and, unless it is the scheme's own, a port, such as https://app.example.org"

    let scheme: String
    /// In lower case, with a port unless it is the scheme's own.
    let authority: String

    /// Reads `https://App.Example.org:443`, or the same with a slash at its end.
    ///
    /// - Returns: nil for what no page has as its origin: a name without a scheme, an address with a path, or `null`, which
    ///   a sandboxed page says.
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
