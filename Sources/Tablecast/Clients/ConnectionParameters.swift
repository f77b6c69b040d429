package import WireProtocol

/// What the address of a connection says: `/ws?channels=tables,queries&username=ada`.
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

/// The query of an address, decoded: `?channels=tables&username=ada+lovelace`.
package struct AddressQuery: Sendable {
    /// In their order, those too that are there more than once.
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

    /// The value of a field; nil where there is none.
    ///
    /// - Throws: when it is there more than once: to take the first, or the last, would be to guess.
    package func value(_ name: String) throws(ProtocolError) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        guard values.count <= 1 else {
            throw ProtocolError(.invalidMessage, "\(name): expected once in the address, found \(values.count) times")
        }
        return values.first
    }

    /// Every value of a field that may be there several times, in their order.
    package func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

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
