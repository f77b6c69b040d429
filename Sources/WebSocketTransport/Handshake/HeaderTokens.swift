/// The grammar that header fields share, RFC 9110 section 5.6.
enum HeaderTokens {
    /// Whether one of the comma-separated elements is `token`, which is in lower case; fields are not case-sensitive.
    static func contain(_ token: String, in fields: [String]) -> Bool {
        fields.contains { field in
            field.split(separator: ",").contains { trim($0).lowercased() == token }
        }
    }

    /// The comma-separated elements, in order, empty ones left out.
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
