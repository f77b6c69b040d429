/// `user:cursor`: where a user's cursor is now. The service says whose it is.
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
    private enum CodingKeys: String, CodingKey {
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
        writer.field("userId", userID)
        writer.field("username", username)
        writer.fields(location)
        writer.endObject()
    }
}
