/// `user:joined` and `user:left`.
public struct UserPresencePayload: Sendable, Hashable, Codable {
    public var userID: String
    public var username: String
    /// After the user came or went.
    public var connectedUsers: Int

    public init(userID: String, username: String, connectedUsers: Int) {
        self.userID = userID
        self.username = username
        self.connectedUsers = connectedUsers
    }

    private enum CodingKeys: String, CodingKey {
        case userID = "userId"
        case username
        case connectedUsers
    }
}

extension UserPresencePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("userId", userID)
        writer.field("username", username)
        writer.field("connectedUsers", connectedUsers)
        writer.endObject()
    }
}
