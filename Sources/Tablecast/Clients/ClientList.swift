import Broadcast
import WebSocketTransport
package import WireProtocol

extension MonitoredService {
    /// The connected clients as the JSON document of `GET /clients`, in the order of connecting.
    ///
    /// - Throws: `FORBIDDEN` for an identity that is no administrator.
    package func clientList(for identity: Identity) throws(ProtocolError) -> [UInt8] {
        try identity.require(.admin, for: "listing clients")
        let queryCounts = queryCounts
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("clients")
        writer.beginArray()
        for connection in server.connections.all {
            write(connection, queryCount: queryCounts[connection.name] ?? 0, to: &writer)
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private func write(_ connection: ConnectionRegistry.Entry, queryCount: Int, to writer: inout JSONWriter) {
        let identity = connection.identity
        let channels = server.hub.channels(of: connection.client)
        writer.beginObject()
        writer.field("id", connection.name)
        writer.field("transport", connection.transport.rawValue)
        writer.field("identity", identity.isAnonymous ? nil : identity.id)
        writer.field("username", server.clients[connection.name]?.username ?? identity.username)
        writer.field("role", identity.role.rawValue)
        writer.field("address", connection.address?.description)
        writer.field("since", connection.connectedAt)
        writer.field("expiresAt", identity.expiresAt)
        writer.field("channels", MessageChannel.allCases.filter { channels.contains(Channels($0)) }.map(\.rawValue))
        writer.field("subscriptions", server.hub.subscriptions(of: connection.client).count)
        writer.field("liveQueries", liveQueryCount(of: connection.client))
        writer.field("queries", queryCount)
        writer.endObject()
    }

    /// Closes a client's connection.
    ///
    /// - Throws: `FORBIDDEN` for an identity that is no administrator, `CLIENT_NOT_FOUND`.
    package func endClient(_ name: String, by identity: Identity) throws(ProtocolError) {
        try identity.require(.admin, for: "closing the connection of a client")
        try server.endClient(name)
    }
}
