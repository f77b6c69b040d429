/// One extension that a client offers in `Sec-WebSocket-Extensions`, RFC 6455 section 9.1.
package struct ExtensionOffer: Sendable, Hashable {
    package struct Parameter: Sendable, Hashable {
        package var name: String
        package var value: String?
    }

    package var name: String
    package var parameters: [Parameter]

    /// The offers in the order of preference. An ill-formed one is left out: to decline is always right.
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

    /// A quoted value could hold a separator only if it were no token, and then the offer is declined anyway.
    private static func split(_ text: some StringProtocol, at separator: Character) -> [Substring] {
        Substring(text).split(separator: separator, omittingEmptySubsequences: false)
    }
}
