/// The agreement of one connection on permessage-deflate, RFC 7692 section 7.1.
package struct DeflateAgreement: Sendable, Hashable {
    /// The largest window that the server may compress with, as the base-two logarithm, 9 to 15.
    package var serverWindowBits: Int
    /// The window to compress with: one of two, so that nearly all connections share one compressed form of a message
    /// and the others share another.
    package var sharedWindowBits: Int { serverWindowBits == 15 ? 15 : 9 }

    /// Whether the client compresses each message independently. The server always requests it, and a client must
    /// comply (section 7.1.1.2); otherwise its connection keeps a decompressor.
    package var clientDropsContext: Bool
    /// Whether the client named the window: only then may the response name it.
    private var namesServerWindow: Bool

    /// The first of the client's offers that can be served; nil to continue without compression.
    package init?(offers: [ExtensionOffer]) {
        for offer in offers where offer.name == "permessage-deflate" {
            if let agreement = Self(offer) {
                self = agreement
                return
            }
        }
        return nil
    }

    /// The offer of this package's client: no context in either direction, so that it keeps nothing between messages.
    static let clientOffer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    /// Parses a server's answer to ``clientOffer``; nil if section 7.1.1.1 does not allow it.
    init?(answer: ExtensionOffer) {
        let names = Set(answer.parameters.map(\.name))
        guard answer.name == "permessage-deflate", names.contains("server_no_context_takeover") else { return nil }
        self.init(answer)
    }

    /// The value of `Sec-WebSocket-Extensions` that accepts the offer.
    ///
    /// It always contains `server_no_context_takeover`, so that a message is compressed once and shared.
    package var response: String {
        var response = "permessage-deflate; server_no_context_takeover"
        if clientDropsContext { response += "; client_no_context_takeover" }
        if namesServerWindow { response += "; server_max_window_bits=\(serverWindowBits)" }
        return response
    }

    /// Nil for what section 7.1 requires to decline: an unknown, repeated or malformed parameter. A window of 8 bits is
    /// declined too: zlib cannot make such a stream.
    private init?(_ offer: ExtensionOffer) {
        serverWindowBits = 15
        clientDropsContext = true
        namesServerWindow = false
        var seen: Set<String> = []
        for parameter in offer.parameters {
            guard seen.insert(parameter.name).inserted else { return nil }
            switch (parameter.name, parameter.value) {
            case ("server_no_context_takeover", nil), ("client_no_context_takeover", nil),
                ("client_max_window_bits", nil):
                break
            case ("client_max_window_bits", let value?):
                guard Self.windowBits(value) != nil else { return nil }
            case ("server_max_window_bits", let value?):
                guard let bits = Self.windowBits(value), bits >= 9 else { return nil }
                serverWindowBits = bits
                namesServerWindow = true
            default:
                return nil
            }
        }
    }

    /// Section 7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15".
    private static func windowBits(_ value: String) -> Int? {
        guard let bits = Int(value), (8...15).contains(bits), value == String(bits) else { return nil }
        return bits
    }
}
