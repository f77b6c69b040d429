/// `user:joined` and `user:left`.
public struct UserPresencePayload: Sendable, Hashable, Codable {
    public var userID: String
    public var username: String
    /// The number after the event.
    public var connectedUsers: Int

    public init(userID: String, username: String, connectedUsers: Int) {
        self.userID = userID
        self.username = username
        self.connectedUsers = connectedUsers
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case userID = "userId"
        case username
        case connectedUsers
    }
}

extension UserPresencePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.userID, userID)
        writer.field(CodingKeys.username, username)
        writer.field(CodingKeys.connectedUsers, connectedUsers)
        writer.endObject()
    }
}

/// `user:list`: the connected users, for a new subscriber of `collaboration`.
public struct UserListPayload: Sendable, Hashable, Codable {
    public var users: [ConnectedUser]

    public init(users: [ConnectedUser]) {
        self.users = users
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case users
    }
}

extension UserListPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.users, users)
        writer.endObject()
    }
}

/// A user in ``UserListPayload``.
public struct ConnectedUser: Sendable, Hashable, Codable {
    public var userID: String
    public var username: String
    /// Unix milliseconds.
    public var joinedAt: Int64
    /// The last position of the cursor.
    public var cursor: CursorLocation?

    public init(userID: String, username: String, joinedAt: Int64, cursor: CursorLocation? = nil) {
        self.userID = userID
        self.username = username
        self.joinedAt = joinedAt
        self.cursor = cursor
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case userID = "userId"
        case username
        case joinedAt
        case cursor
    }
}

extension ConnectedUser: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.userID, userID)
        writer.field(CodingKeys.username, username)
        writer.field(CodingKeys.joinedAt, joinedAt)
        writer.field(CodingKeys.cursor, cursor)
        writer.endObject()
    }
}

/// `user:cursor`: the position of a user's cursor. The service adds the user.
public struct UserCursorPayload: Sendable, Hashable {
    public var userID: String
    public var username: String
    public var location: CursorLocation

    public init(userID: String, username: String, location: CursorLocation) {
        self.userID = userID
        self.username = username
        self.location = location
    }
}

extension UserCursorPayload: Codable {
    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case userID = "userId"
        case username
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        userID = try container.decode(String.self, forKey: .userID)
        username = try container.decode(String.self, forKey: .username)
        location = try CursorLocation(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(userID, forKey: .userID)
        try container.encode(username, forKey: .username)
        try location.encode(to: encoder)
    }
}

extension UserCursorPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(CodingKeys.userID, userID)
        writer.field(CodingKeys.username, username)
        writer.fields(location)
        writer.endObject()
    }
}
