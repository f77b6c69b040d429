/// The `type` of a message: those of the protocol, and an application's own.
public struct MessageType: RawRepresentable, Sendable, Hashable, Codable {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    /// A type of the application's own, such as `"chat:message"`.
    public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// From the service to its clients.
extension MessageType {
    public static let connectionAck = Self("connection:ack")
    public static let subscribed = Self("subscribed")
    public static let unsubscribed = Self("unsubscribed")
    public static let error = Self("error")
    public static let tableCreated = Self("table:created")
    public static let tableModified = Self("table:modified")
    public static let tableDropped = Self("table:dropped")
    public static let tableSnapshot = Self("table:snapshot")
    public static let snapshotEnd = Self("snapshot:end")
    public static let transactionEnd = Self("transaction:end")
    public static let queryStarted = Self("query:started")
    public static let queryProgress = Self("query:progress")
    public static let queryRows = Self("query:rows")
    public static let queryComplete = Self("query:complete")
    public static let queryError = Self("query:error")
    public static let queryCancelled = Self("query:cancelled")
    public static let querySubscribed = Self("query:subscribed")
    public static let querySnapshot = Self("query:snapshot")
    public static let queryChanged = Self("query:changed")
    public static let queryReached = Self("query:reached")
    public static let queryUnsubscribed = Self("query:unsubscribed")
    public static let rowWritten = Self("row:written")
    public static let tokenRenewed = Self("token:renewed")
    public static let userJoined = Self("user:joined")
    public static let userLeft = Self("user:left")
    public static let userList = Self("user:list")
}

/// In both directions.
extension MessageType {
    public static let heartbeat = Self("heartbeat")
    public static let userCursor = Self("user:cursor")
}

/// From a client to the service.
extension MessageType {
    public static let subscribe = Self("subscribe")
    public static let unsubscribe = Self("unsubscribe")
    public static let queryExecute = Self("query:execute")
    public static let queryCancel = Self("query:cancel")
    public static let querySubscribe = Self("query:subscribe")
    public static let queryUnsubscribe = Self("query:unsubscribe")
    public static let rowWrite = Self("row:write")
    public static let tokenRenew = Self("token:renew")
    public static let userIdentify = Self("user:identify")

    /// Every type that the service accepts from a client.
    public static let clientTypes: [MessageType] = [
        .subscribe, .unsubscribe, .queryExecute, .queryCancel, .querySubscribe, .queryUnsubscribe, .rowWrite,
        .tokenRenew, .userIdentify, .userCursor, .heartbeat,
    ]
}

extension MessageType {
    /// 1 to 128 bytes without control characters: so that the type fits every encoding, including the lines of an event
    /// stream.
    public var isWellFormed: Bool {
        (1...128).contains(rawValue.utf8.count) && rawValue.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    /// Whether the type belongs to the protocol's own events, which an application must not send.
    public var isReserved: Bool {
        Self.reservedPrefixes.contains { rawValue.hasPrefix($0) }
            || [.subscribed, .unsubscribed, .heartbeat, .error, .subscribe, .unsubscribe].contains(self)
    }

    private static let reservedPrefixes = [
        "table:", "query:", "row:", "user:", "token:", "connection:", "database:", "snapshot:", "transaction:",
        "relay:",
    ]
}

extension MessageType: CustomStringConvertible {
    public var description: String { rawValue }
}

/// A stream of messages that a client can subscribe to.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum MessageChannel: String, Sendable, Hashable, Codable, CaseIterable {
    case queries
    case tables
    case notifications
    case collaboration
}

extension MessageChannel {
    /// The channel of that name; the error lists the known ones.
    public init(parsing name: String) throws(ProtocolError) {
        guard let channel = MessageChannel(rawValue: name) else {
            let known = MessageChannel.allCases.map(\.rawValue).joined(separator: ", ")
            throw ProtocolError(.unknownChannel, "unknown channel \(quoted(name)): expected one of \(known)")
        }
        self = channel
    }

    /// Parses the `channels=tables,queries` of an address. Empty text means no channel.
    public static func parseList(_ text: String) throws(ProtocolError) -> [MessageChannel] {
        var channels: [MessageChannel] = []
        for name in text.split(separator: ",") {
            let channel = try MessageChannel(parsing: String(name))
            if !channels.contains(channel) { channels.append(channel) }
        }
        return channels
    }
}
