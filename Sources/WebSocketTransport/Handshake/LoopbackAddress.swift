import NIOCore

/// The addresses of a machine itself: 127.0.0.0/8 and ::1.
package enum LoopbackAddress {
    package static func contains(_ text: some StringProtocol) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let isV4 = parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
        return isV4 || text == "::1"
    }
}

extension SocketAddress {
    /// Also in the form that an IPv4 connection has on an IPv6 socket.
    var isLoopback: Bool {
        guard let ipAddress else { return false }
        return LoopbackAddress.contains(ipAddress.hasPrefix("::ffff:") ? ipAddress.dropFirst(7) : ipAddress[...])
    }
}
