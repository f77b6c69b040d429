package import NIOHTTP1

/// Finds the client behind proxies: the last address of `X-Forwarded-For` or `Forwarded` (RFC 7239) that is not a trusted
/// proxy's.
///
/// What stands left of that address was written by the client itself, and means nothing.
package enum ForwardedClient {
    /// - Parameters:
    ///   - headers: Of a request that came from `peer`.
    ///   - peer: Believed only if it is one of `trusted`.
    ///   - trusted: The proxies.
    /// - Returns: `peer` where the headers say nothing, or where the two contradict each other: a proxy sets one of them,
    ///   and passes on whatever the client put into the other.
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
            // A name or an obfuscated identifier: the nearest proxy that is known stands for it.
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

    /// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`, in quotation marks or not.
    private static func address(_ text: Substring) -> ClientAddress? {
        var text = text
        if text.count >= 2, text.first == "\"", text.last == "\"" { text = text.dropFirst().dropLast() }
        if text.first == "[" { return ClientAddress(text.dropFirst().prefix { $0 != "]" }) }
        if let address = ClientAddress(text) { return address }
        return ClientAddress(text.prefix { $0 != ":" })
    }
}
