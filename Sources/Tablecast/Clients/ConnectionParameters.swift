import WireProtocol

/// What the address of a connection says: `/ws?channels=tables,queries&username=ada`.
struct ConnectionParameters: Sendable, Hashable {
    var channels: [Channel]
    var username: String?

    init(uri: String) throws(ProtocolError) {
        let query = AddressQuery(of: uri)
        channels = try Channel.parseList(query.value("channels") ?? "")
        username = try query.value("username")
        if let username, !(1...ClientMessage.maxUsernameBytes).contains(username.utf8.count) {
            throw ProtocolError(
                .invalidMessage,
                "username: expected 1 to \(ClientMessage.maxUsernameBytes) bytes, found \(username.utf8.count)"
            )
        }
    }
}
