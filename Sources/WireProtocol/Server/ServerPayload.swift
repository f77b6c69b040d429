/// The `data` of a server's message, by its `type`.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum ServerPayload: Sendable, Hashable {
    case connectionAck(ConnectionAckPayload)
    case subscribed(SubscribedPayload)
    case unsubscribed(UnsubscribedPayload)
    case heartbeat(HeartbeatPayload)
    case error(ErrorPayload)
    case tableCreated(TableCreatedPayload)
    case tableModified(TableModifiedPayload)
    case tableDropped(TableDroppedPayload)
    case tableSnapshot(TableSnapshotPayload)
    case snapshotEnd(SnapshotEndPayload)
    case transactionEnd(TransactionEndPayload)
    case queryStarted(QueryStartedPayload)
    case queryProgress(QueryProgressPayload)
    case queryRows(QueryRowsPayload)
    case queryComplete(QueryCompletePayload)
    case queryError(QueryErrorPayload)
    case queryCancelled(QueryCancelledPayload)
    case querySubscribed(QuerySubscribedPayload)
    case querySnapshot(QuerySnapshotPayload)
    case queryChanged(QueryChangedPayload)
    case queryReached(QueryReachedPayload)
    case queryUnsubscribed(QueryUnsubscribedPayload)
    case rowWritten(RowWrittenPayload)
    case tokenRenewed(TokenRenewedPayload)
    case userJoined(UserPresencePayload)
    case userLeft(UserPresencePayload)
    case userList(UserListPayload)
    case userCursor(UserCursorPayload)
    /// The data of an application's own type.
    case custom(MessageType, JSONValue)

    public var type: MessageType {
        switch self {
        case .connectionAck: .connectionAck
        case .subscribed: .subscribed
        case .unsubscribed: .unsubscribed
        case .heartbeat: .heartbeat
        case .error: .error
        case .tableCreated: .tableCreated
        case .tableModified: .tableModified
        case .tableDropped: .tableDropped
        case .tableSnapshot: .tableSnapshot
        case .snapshotEnd: .snapshotEnd
        case .transactionEnd: .transactionEnd
        case .queryStarted: .queryStarted
        case .queryProgress: .queryProgress
        case .queryRows: .queryRows
        case .queryComplete: .queryComplete
        case .queryError: .queryError
        case .queryCancelled: .queryCancelled
        case .querySubscribed: .querySubscribed
        case .querySnapshot: .querySnapshot
        case .queryChanged: .queryChanged
        case .queryReached: .queryReached
        case .queryUnsubscribed: .queryUnsubscribed
        case .rowWritten: .rowWritten
        case .tokenRenewed: .tokenRenewed
        case .userJoined: .userJoined
        case .userLeft: .userLeft
        case .userList: .userList
        case .userCursor: .userCursor
        case .custom(let type, _): type
        }
    }
}

extension ServerPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        switch self {
        case .connectionAck(let data): data.write(to: &writer)
        case .subscribed(let data): data.write(to: &writer)
        case .unsubscribed(let data): data.write(to: &writer)
        case .heartbeat(let data): data.write(to: &writer)
        case .error(let data): data.write(to: &writer)
        case .tableCreated(let data): data.write(to: &writer)
        case .tableModified(let data): data.write(to: &writer)
        case .tableDropped(let data): data.write(to: &writer)
        case .tableSnapshot(let data): data.write(to: &writer)
        case .snapshotEnd(let data): data.write(to: &writer)
        case .transactionEnd(let data): data.write(to: &writer)
        case .queryStarted(let data): data.write(to: &writer)
        case .queryProgress(let data): data.write(to: &writer)
        case .queryRows(let data): data.write(to: &writer)
        case .queryComplete(let data): data.write(to: &writer)
        case .queryError(let data): data.write(to: &writer)
        case .queryCancelled(let data): data.write(to: &writer)
        case .querySubscribed(let data): data.write(to: &writer)
        case .querySnapshot(let data): data.write(to: &writer)
        case .queryChanged(let data): data.write(to: &writer)
        case .queryReached(let data): data.write(to: &writer)
        case .queryUnsubscribed(let data): data.write(to: &writer)
        case .rowWritten(let data): data.write(to: &writer)
        case .tokenRenewed(let data): data.write(to: &writer)
        case .userJoined(let data): data.write(to: &writer)
        case .userLeft(let data): data.write(to: &writer)
        case .userList(let data): data.write(to: &writer)
        case .userCursor(let data): data.write(to: &writer)
        case .custom(_, let data): writer.value(data)
        }
    }
}

extension ServerPayload {
    init(type: MessageType, from decoder: any Decoder) throws {
        switch type {
        case .connectionAck: self = .connectionAck(try ConnectionAckPayload(from: decoder))
        case .subscribed: self = .subscribed(try SubscribedPayload(from: decoder))
        case .unsubscribed: self = .unsubscribed(try UnsubscribedPayload(from: decoder))
        case .heartbeat: self = .heartbeat(try HeartbeatPayload(from: decoder))
        case .error: self = .error(try ErrorPayload(from: decoder))
        case .tableCreated: self = .tableCreated(try TableCreatedPayload(from: decoder))
        case .tableModified: self = .tableModified(try TableModifiedPayload(from: decoder))
        case .tableDropped: self = .tableDropped(try TableDroppedPayload(from: decoder))
        case .tableSnapshot: self = .tableSnapshot(try TableSnapshotPayload(from: decoder))
        case .snapshotEnd: self = .snapshotEnd(try SnapshotEndPayload(from: decoder))
        case .transactionEnd: self = .transactionEnd(try TransactionEndPayload(from: decoder))
        case .queryStarted: self = .queryStarted(try QueryStartedPayload(from: decoder))
        case .queryProgress: self = .queryProgress(try QueryProgressPayload(from: decoder))
        case .queryRows: self = .queryRows(try QueryRowsPayload(from: decoder))
        case .queryComplete: self = .queryComplete(try QueryCompletePayload(from: decoder))
        case .queryError: self = .queryError(try QueryErrorPayload(from: decoder))
        case .queryCancelled: self = .queryCancelled(try QueryCancelledPayload(from: decoder))
        case .querySubscribed: self = .querySubscribed(try QuerySubscribedPayload(from: decoder))
        case .querySnapshot: self = .querySnapshot(try QuerySnapshotPayload(from: decoder))
        case .queryChanged: self = .queryChanged(try QueryChangedPayload(from: decoder))
        case .queryReached: self = .queryReached(try QueryReachedPayload(from: decoder))
        case .queryUnsubscribed: self = .queryUnsubscribed(try QueryUnsubscribedPayload(from: decoder))
        case .rowWritten: self = .rowWritten(try RowWrittenPayload(from: decoder))
        case .tokenRenewed: self = .tokenRenewed(try TokenRenewedPayload(from: decoder))
        case .userJoined: self = .userJoined(try UserPresencePayload(from: decoder))
        case .userLeft: self = .userLeft(try UserPresencePayload(from: decoder))
        case .userList: self = .userList(try UserListPayload(from: decoder))
        case .userCursor: self = .userCursor(try UserCursorPayload(from: decoder))
        default: self = .custom(type, try JSONValue(from: decoder))
        }
    }

    func encode(to encoder: any Encoder) throws {
        switch self {
        case .connectionAck(let data): try data.encode(to: encoder)
        case .subscribed(let data): try data.encode(to: encoder)
        case .unsubscribed(let data): try data.encode(to: encoder)
        case .heartbeat(let data): try data.encode(to: encoder)
        case .error(let data): try data.encode(to: encoder)
        case .tableCreated(let data): try data.encode(to: encoder)
        case .tableModified(let data): try data.encode(to: encoder)
        case .tableDropped(let data): try data.encode(to: encoder)
        case .tableSnapshot(let data): try data.encode(to: encoder)
        case .snapshotEnd(let data): try data.encode(to: encoder)
        case .transactionEnd(let data): try data.encode(to: encoder)
        case .queryStarted(let data): try data.encode(to: encoder)
        case .queryProgress(let data): try data.encode(to: encoder)
        case .queryRows(let data): try data.encode(to: encoder)
        case .queryComplete(let data): try data.encode(to: encoder)
        case .queryError(let data): try data.encode(to: encoder)
        case .queryCancelled(let data): try data.encode(to: encoder)
        case .querySubscribed(let data): try data.encode(to: encoder)
        case .querySnapshot(let data): try data.encode(to: encoder)
        case .queryChanged(let data): try data.encode(to: encoder)
        case .queryReached(let data): try data.encode(to: encoder)
        case .queryUnsubscribed(let data): try data.encode(to: encoder)
        case .rowWritten(let data): try data.encode(to: encoder)
        case .tokenRenewed(let data): try data.encode(to: encoder)
        case .userJoined(let data): try data.encode(to: encoder)
        case .userLeft(let data): try data.encode(to: encoder)
        case .userList(let data): try data.encode(to: encoder)
        case .userCursor(let data): try data.encode(to: encoder)
        case .custom(_, let data): try data.encode(to: encoder)
        }
    }
}
