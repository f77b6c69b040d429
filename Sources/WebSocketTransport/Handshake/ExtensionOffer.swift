/// One extension that a client offers in `Sec-WebSocket-Extensions`, RFC 6455 section 9.1.
package struct ExtensionOffer: Sendable, Hashable {
    package struct Parameter: Sendable, Hashable {
        package var name: String
        package var value: String?
    }

    package var name: String
    package var parameters: [Parameter]

    /// The offers in the order of preference. A malformed one is left out: declining is always allowed.
    package static func parse(_ fields: [String]) -> [ExtensionOffer] {
        fields.flatMap { split($0, at: ",") }.compactMap(ExtensionOffer.init(text:))
    }

    private init?(text: Substring) {
        let parts = Self.split(text, at: ";").map(HeaderTokens.trim)
        guard let name = parts.first, HeaderTokens.isToken(name) else { return nil }
        self.name = name.lowercased()
        parameters = []
        for part in parts.dropFirst() {
            guard let parameter = Self.parameter(part) else { return nil }
            parameters.append(parameter)
        }
    }

    private static func parameter(_ text: Substring) -> Parameter? {
        guard let equals = text.firstIndex(of: "=") else {
            return HeaderTokens.isToken(text) ? Parameter(name: text.lowercased(), value: nil) : nil
        }
        let name = HeaderTokens.trim(text[..<equals])
        var value = HeaderTokens.trim(text[text.index(after: equals)...])
        // "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to token."
        if value.count >= 2 && value.first == "\"" && value.last == "\"" {
            value = value.dropFirst().dropLast()
        }
        guard HeaderTokens.isToken(name), HeaderTokens.isToken(value) else { return nil }
        return Parameter(name: name.lowercased(), value: String(value))
    }

    /// A quoted value can contain a separator only if it is not a token, and then the offer is declined anyway.
    private static func split(_ text: some StringProtocol, at separator: Character) -> [Substring] {
        Substring(text).split(separator: separator, omittingEmptySubsequences: false)
    }
}

/// The common grammar of header fields, RFC 9110 section 5.6.
enum HeaderTokens {
    /// Whether one of the comma-separated elements equals `token`, which is in lower case; the comparison ignores case.
    static func contain(_ token: String, in fields: [String]) -> Bool {
        fields.contains { field in
            field.split(separator: ",").contains { trim($0).lowercased() == token }
        }
    }

    /// The non-empty comma-separated elements, in order.
    static func elements(_ fields: [String]) -> [String] {
        fields.flatMap { $0.split(separator: ",").map { String(trim($0)) } }.filter { !$0.isEmpty }
    }

    static func trim(_ text: Substring) -> Substring {
        var text = text
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }

    static func isToken(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy(isTokenByte)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
