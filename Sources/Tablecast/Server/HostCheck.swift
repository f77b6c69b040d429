import NIOHTTP1
package import WebSocketTransport

/// Whether a request names a host that this server goes by.
///
/// A page of any site can have its own name resolve to 127.0.0.1 (DNS rebinding); its requests then look as if they came
/// from the same origin. What gives them away is the name itself. So a server that listens on this machine alone answers
/// to this machine's names alone.
struct HostCheck: Sendable {
    private let isLoopback: Bool

    /// - Parameter listeningHost: The address that the server listens on.
    init(listeningHost: String) {
        isLoopback = Self.isLoopback(listeningHost)
    }

    /// - Parameter host: The `Host` header, with or without a port; nil where the request has none.
    func allows(_ host: String?) -> Bool {
        guard isLoopback, let host else { return true }
        return Self.isLoopback(Self.withoutPort(host))
    }

    private static func withoutPort(_ host: String) -> String {
        if host.hasPrefix("[") {
            return String(host.dropFirst().prefix { $0 != "]" })
        }
        return String(host.prefix { $0 != ":" })
    }

    private static func isLoopback(_ name: String) -> Bool {
        let name = name.lowercased()
        if name == "localhost" || name.hasSuffix(".localhost") || name == "::1" { return true }
        let numbers = name.split(separator: ".", omittingEmptySubsequences: false)
        return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
    }
}

extension WebSocketServer {
    /// Judges whether the program behind a request may speak to this server at all: the host that it names, and the page
    /// that it says it comes from.
    package func admit(host: String?, origin: String?, isSecure: Bool) throws(UpgradeRefusal) {
        guard HostCheck(listeningHost: configuration.host).allows(host) else {
            throw UpgradeRefusal(
                .forbidden,
                "This server listens on the loopback address and answers to localhost, not to \"\(host ?? "")\"."
            )
        }
        var headers = HTTPHeaders()
        if let host { headers.add(name: "Host", value: host) }
        if let origin { headers.add(name: "Origin", value: origin) }
        try configuration.upgradePolicy.checkOrigin(of: headers, isSecure: isSecure)
    }
}
