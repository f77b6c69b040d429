import WireProtocol

/// What the address of a connection says: `/ws?channels=tables,queries&username=ada`.
struct ConnectionParameters: Sendable, Hashable {
    var channels: [Channel] = []
    var username: String?

    init(uri: String) throws(ProtocolError) {
        for (name, value) in Self.query(of: uri) {
            switch name {
            case "channels":
                channels = try Channel.parseList(value)
            case "username":
                guard (1...ClientMessage.maxUsernameBytes).contains(value.utf8.count) else {
                    throw ProtocolError(
                        .invalidMessage,
                        "username: expected 1 to \(ClientMessage.maxUsernameBytes) bytes, found \(value.utf8.count)"
                    )
                }
                username = value
            default:
                continue
            }
        }
    }

    /// The fields of an address's query, decoded.
    static func query(of uri: String) -> [(name: String, value: String)] {
        guard let mark = uri.firstIndex(of: "?") else { return [] }
        return uri[uri.index(after: mark)...].split(separator: "&").map { field in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (decoded(parts[0]), parts.count > 1 ? decoded(parts[1]) : "")
        }
    }

    /// Decodes `+` and `%20`. A percent sign that begins no such escape stands for itself.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"):
                bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                if let value = UInt8(Substring(rest.prefix(2)), radix: 16), rest.count >= 2 {
                    bytes.append(value)
                    rest = rest.dropFirst(2)
                } else {
                    bytes.append(byte)
                }
            default:
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
