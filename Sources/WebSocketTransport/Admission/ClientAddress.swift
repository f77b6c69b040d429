package import NIOCore
package import NIOHTTP1

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An IP address without a port. An IPv4 address equals its mapped form on an IPv6 socket.
package struct ClientAddress: Sendable, Hashable, CustomStringConvertible {
    /// As an IPv6 address, in host order; IPv4 as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
    let high: UInt64
    let low: UInt64

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Parses `192.0.2.1` or `2001:db8::1`; nil for anything else, including names.
    package init?(_ text: some StringProtocol) {
        var bytes: (UInt64, UInt64) = (0, 0)
        let found: ClientAddress? = withUnsafeMutableBytes(of: &bytes) { bytes in
            if inet_pton(AF_INET, String(text), bytes.baseAddress) == 1 { return Self(v4: bytes) }
            if inet_pton(AF_INET6, String(text), bytes.baseAddress) == 1 { return Self(v6: bytes) }
            return nil
        }
        guard let found else { return nil }
        self = found
    }

    /// Nil for a socket address without an IP address, such as a file-system socket.
    package init?(_ address: SocketAddress) {
        let found: ClientAddress? = address.withSockAddr { start, size in
            let bytes = UnsafeRawBufferPointer(start: start, count: size)
            // The offset of the address: after the family and the port, and for IPv6 the flow information.
            return switch address {
            case .v4: Self(v4: UnsafeRawBufferPointer(rebasing: bytes[4...]))
            case .v6: Self(v6: UnsafeRawBufferPointer(rebasing: bytes[8...]))
            case .unixDomainSocket: nil
            }
        }
        guard let found else { return nil }
        self = found
    }

    private init(v4 bytes: some Collection<UInt8>) {
        self.init(high: 0, low: bytes.prefix(4).reduce(0xffff) { $0 << 8 | UInt64($1) })
    }

    private init(v6 bytes: some Collection<UInt8>) {
        func word(_ bytes: some Collection<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(high: word(bytes.prefix(8)), low: word(bytes.dropFirst(8).prefix(8)))
    }

    var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The network of one client: an IPv4 address, or the /64 network of an IPv6 address, in which a client can choose
    /// any address.
    package var network: ClientAddress { isIPv4 ? self : ClientAddress(high: high, low: 0) }

    fileprivate func masked(to bits: Int) -> ClientAddress {
        let mask: (Int) -> UInt64 = { $0 <= 0 ? 0 : $0 >= 64 ? .max : ~(UInt64.max >> UInt64($0)) }
        return ClientAddress(high: high & mask(bits), low: low & mask(bits - 64))
    }

    package var description: String {
        if isIPv4 {
            return stride(from: 24, through: 0, by: -8).map { String(low >> UInt64($0) & 0xff) }.joined(separator: ".")
        }
        return [high, low].flatMap { word in
            stride(from: 48, through: 0, by: -16).map { String(word >> UInt64($0) & 0xffff, radix: 16) }
        }.joined(separator: ":")
    }
}

/// The addresses of a network, such as `10.0.0.0/8` or `2001:db8::/32`; a single address without the slash.
///
/// Source: [RFC 4632 section 3.1](https://www.rfc-editor.org/rfc/rfc4632#section-3.1).
package struct AddressRange: Sendable, Hashable {
    /// The expected format of ``init(_:)``, for messages.
    package static let expectation = "an IP address or a network such as 10.0.0.0/8 or 2001:db8::/32"

    private let first: ClientAddress
    /// Bits of the IPv6 form.
    private let prefixBits: Int

    /// Nil for anything but ``expectation``.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ ClientAddress($0) }) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        var bits = width
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(parts[1]), number <= width
            else { return nil }
            bits = number
        }
        prefixBits = bits + 128 - width
        first = address.masked(to: prefixBits)
    }

    package func contains(_ address: ClientAddress) -> Bool { address.masked(to: prefixBits) == first }
}

/// Finds the client behind proxies: the last address of `X-Forwarded-For` or `Forwarded` (RFC 7239) that is not a trusted
/// proxy.
///
/// Addresses to the left of it were written by the client itself, and are not reliable.
package enum ForwardedClient {
    /// - Parameters:
    ///   - headers: The headers of a request from `peer`.
    ///   - peer: The headers are used only if it is one of `trusted`.
    ///   - trusted: The proxies.
    /// - Returns: `peer` when the headers contain no address, or when the two contradict each other: a proxy sets one
    ///   of them, and passes on whatever the client put into the other.
    package static func address(_ headers: HTTPHeaders, peer: ClientAddress, trusted: [AddressRange]) -> ClientAddress {
        guard isTrusted(peer, trusted) else { return peer }
        let candidates = [listed(headers["X-Forwarded-For"]), forwarded(headers["Forwarded"])]
            .filter { !$0.isEmpty }
            .map { client(behind: peer, hops: $0, trusted) }
        guard let first = candidates.first, candidates.allSatisfy({ $0 == first }) else { return peer }
        return first
    }

    private static func isTrusted(_ address: ClientAddress, _ trusted: [AddressRange]) -> Bool {
        trusted.contains { $0.contains(address) }
    }

    private static func client(behind peer: ClientAddress, hops: [ClientAddress?], _ trusted: [AddressRange])
        -> ClientAddress
    {
        var client = peer
        for hop in hops.reversed() {
            // A name or an obfuscated identifier: the nearest known proxy is used instead.
            guard let hop else { return client }
            client = hop
            if !isTrusted(hop, trusted) { return client }
        }
        return client
    }

    private static func listed(_ fields: [String]) -> [ClientAddress?] {
        HeaderTokens.elements(fields).map { address($0[...]) }
    }

    private static func forwarded(_ fields: [String]) -> [ClientAddress?] {
        HeaderTokens.elements(fields).map { element in
            for parameter in element.split(separator: ";") {
                let parts = parameter.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, HeaderTokens.trim(parts[0]).lowercased() == "for" else { continue }
                return address(HeaderTokens.trim(parts[1]))
            }
            return nil
        }
    }

    /// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`, with or without quotation marks.
    private static func address(_ text: Substring) -> ClientAddress? {
        var text = text
        if text.count >= 2, text.first == "\"", text.last == "\"" { text = text.dropFirst().dropLast() }
        if text.first == "[" { return ClientAddress(text.dropFirst().prefix { $0 != "]" }) }
        if let address = ClientAddress(text) { return address }
        return ClientAddress(text.prefix { $0 != ":" })
    }
}
