/// `connection:ack`: the first message on every connection.
public struct ConnectionAckPayload: Sendable, Hashable, Codable {
    public var clientID: String
    /// Unix milliseconds.
    public var connectedAt: Int64
    public var serverInfo: ServerInfo
    /// Milliseconds.
    public var heartbeatInterval: Int64
    /// The name of the watched database; nil for a broadcaster without one.
    public var database: String?
    /// The last committed transaction; nil without a database.
    public var position: Position?
    /// When the client's token expires, in Unix milliseconds of the server's clock; nil for never.
    public var expiresAt: Int64?
    /// The ids of the relays between the source and this connection, beginning at the source; nil without a relay.
    public var relays: [String]?

    public init(
        clientID: String,
        connectedAt: Int64,
        serverInfo: ServerInfo,
        heartbeatInterval: Int64,
        database: String? = nil,
        position: Position? = nil,
        expiresAt: Int64? = nil,
        relays: [String]? = nil
    ) {
        self.clientID = clientID
        self.connectedAt = connectedAt
        self.serverInfo = serverInfo
        self.heartbeatInterval = heartbeatInterval
        self.database = database
        self.position = position
        self.expiresAt = expiresAt
        self.relays = relays
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case clientID = "clientId"
        case connectedAt
        case serverInfo
        case heartbeatInterval
        case database
        case position
        case expiresAt
        case relays
    }
}

extension ConnectionAckPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.clientID, clientID)
        writer.field(CodingKeys.connectedAt, connectedAt)
        writer.field(CodingKeys.serverInfo, serverInfo)
        writer.field(CodingKeys.heartbeatInterval, heartbeatInterval)
        writer.field(CodingKeys.database, database)
        writer.field(CodingKeys.position, position)
        writer.field(CodingKeys.expiresAt, expiresAt)
        writer.field(CodingKeys.relays, relays)
        writer.endObject()
    }
}

/// `token:renewed`: the reply to `token:renew`.
public struct TokenRenewedPayload: Sendable, Hashable, Codable {
    /// When the new token expires, in Unix milliseconds of the server's clock; nil for never.
    public var expiresAt: Int64?

    public init(expiresAt: Int64? = nil) { self.expiresAt = expiresAt }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case expiresAt
    }
}

extension TokenRenewedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.expiresAt, expiresAt)
        writer.endObject()
    }
}

/// The service that a client is connected to.
public struct ServerInfo: Sendable, Hashable, Codable {
    public var version: String
    public var capabilities: [String]

    public init(version: String, capabilities: [String]) {
        self.version = version
        self.capabilities = capabilities
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case version, capabilities
    }
}

extension ServerInfo: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.version, version)
        writer.field(CodingKeys.capabilities, capabilities)
        writer.endObject()
    }
}

/// `heartbeat`: the reply to a client's heartbeat.
public struct HeartbeatPayload: Sendable, Hashable, Codable {
    /// Unix milliseconds.
    public var timestamp: Int64

    public init(timestamp: Int64) {
        self.timestamp = timestamp
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case timestamp
    }
}

extension HeartbeatPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.timestamp, timestamp)
        writer.endObject()
    }
}

/// `error`: a rejected request, or a failure that concerns the client.
public struct ErrorPayload: Sendable, Hashable, Codable {
    /// What was wrong, and what was expected.
    public var message: String
    public var code: ErrorCode
    public var details: JSONValue?

    public init(message: String, code: ErrorCode, details: JSONValue? = nil) {
        self.message = message
        self.code = code
        self.details = details
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case message, code, details
    }
}

extension ErrorPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.message, message)
        writer.field(CodingKeys.code, code.rawValue)
        writer.field(CodingKeys.details, details)
        writer.endObject()
    }
}
