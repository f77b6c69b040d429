/// `user:list`: who is there, to a new subscriber of `collaboration`.
public struct UserListPayload: Sendable, Hashable, Codable {
    public var users: [ConnectedUser]

    public init(users: [ConnectedUser]) {
        self.users = users
    }
}

extension UserListPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("users", users)
        writer.endObject()
    }
}

/// A user in ``UserListPayload``.
public struct ConnectedUser: Sendable, Hashable, Codable {
    public var userID: String
    public var username: String
    /// Unix milliseconds.
    public var joinedAt: Int64
    /// Where the cursor was last.
    public var cursor: CursorLocation?

    public init(userID: String, username: String, joinedAt: Int64, cursor: CursorLocation? = nil) {
        self.userID = userID
        self.username = username
        self.joinedAt = joinedAt
        self.cursor = cursor
    }

    private enum CodingKeys: String, CodingKey {
        case userID = "userId"
        case username
        case joinedAt
        case cursor
    }
}

extension ConnectedUser: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("userId", userID)
        writer.field("username", username)
        writer.field("joinedAt", joinedAt)
        writer.field("cursor", cursor)
        writer.endObject()
    }
}
