package import WireProtocol

/// The query string of a connection: `/ws?channels=tables,queries&username=ada`.
struct ConnectionParameters: Sendable, Hashable {
    var channels: [MessageChannel]
    var username: String?

    init(uri: String) throws(ProtocolError) {
        let query = AddressQuery(of: uri)
        channels = try MessageChannel.parseList(query.value("channels") ?? "")
        username = try query.value("username")
        if let username, !(1...ClientMessage.maxUsernameBytes).contains(username.utf8.count) {
            throw ProtocolError(
                .invalidMessage,
                "username: expected 1 to \(ClientMessage.maxUsernameBytes) bytes, found \(username.utf8.count)"
            )
        }
    }
}

/// A decoded query string: `?channels=tables&username=ada+lovelace`.
package struct AddressQuery: Sendable {
    /// In their order, including repeated ones.
    let fields: [(name: String, value: String)]

    package init(of uri: String) {
        guard let mark = uri.firstIndex(of: "?") else {
            fields = []
            return
        }
        let query = uri[uri.index(after: mark)...].prefix { $0 != "#" }
        fields = query.split(separator: "&").map { field in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.decoded(parts[0]), parts.count > 1 ? Self.decoded(parts[1]) : "")
        }
    }

    /// The value of a field; nil when it is absent.
    ///
    /// - Throws: when the field is repeated: taking the first or the last value would be a guess.
    package func value(_ name: String) throws(ProtocolError) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        guard values.count <= 1 else {
            throw ProtocolError(.invalidMessage, "\(name): expected once in the address, found \(values.count) times")
        }
        return values.first
    }

    /// Every value of a field that may be repeated, in order.
    package func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// Decodes `+` and `%20`. A percent sign without a valid escape is kept.
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
