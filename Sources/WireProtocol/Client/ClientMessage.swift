/// A validated message from a client.
public struct ClientMessage: Sendable, Hashable {
    /// The longest `id`, `queryId` and the like.
    public static let maxIdentifierBytes = 128
    public static let maxUsernameBytes = 128
    /// The longest token of `token:renew`, the same as in a header.
    public static let maxTokenBytes = 16_384

    /// Later versions can have further cases: handle those you need, and others with `default`.
    public enum Body: Sendable, Hashable {
        case subscribe(SubscribeRequest)
        /// Unsubscribes from a channel, or only from the subscription with that id.
        case unsubscribe(MessageChannel, subscription: String? = nil)
        case executeQuery(QueryRequest)
        case cancelQuery(id: String)
        case subscribeQuery(LiveQueryRequest)
        /// Ends the subscription to a query, by its id.
        case unsubscribeQuery(String)
        case writeRow(RowWriteRequest)
        /// Replaces the connection's token by another one of the same identity.
        case renewToken(String)
        case identify(username: String)
        case cursor(CursorLocation)
        /// - Parameter afterReplay: whether it is answered only when the connection's subscriptions have caught up with
        ///   what is committed, apart from snapshots that are still being sent.
        case heartbeat(afterReplay: Bool = false)
        /// A message of an application's own type, with its `data`. A server whose application does not receive such
        /// messages answers with `UNKNOWN_TYPE`.
        case custom(MessageType, JSONValue)
    }

    /// The client's own `id`, echoed as `replyTo`.
    public var id: String?
    public var body: Body

    public init(id: String? = nil, _ body: Body) {
        self.id = id
        self.body = body
    }

    /// Reads one text message.
    ///
    /// Unknown fields are ignored. The error names the invalid field, and carries the message's `id` if it has one.
    public init(parsing json: some Sequence<UInt8>) throws(ProtocolError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: json)
        } catch {
            throw ProtocolError(.invalidMessage, "the message is \(error)")
        }
        guard case .object(let fields) = value else {
            throw ProtocolError(.invalidMessage, "the message: expected an object, found \(value.kind)")
        }
        let envelope = JSONFields(fields, path: "")
        id = try envelope.string(.id, maxBytes: Self.maxIdentifierBytes)
        do {
            body = try Self.body(envelope)
        } catch {
            throw ProtocolError(error.code, error.message, requestID: id)
        }
    }

    private static func body(_ envelope: JSONFields) throws(ProtocolError) -> Body {
        let name = try envelope.required(envelope.string(.type, maxBytes: maxIdentifierBytes), .type, "a string")
        let data = try envelope.object(.data) ?? JSONFields([:], path: "data.")
        switch MessageType(name) {
        case .subscribe: return .subscribe(try SubscribeRequest(channel: channel(envelope), data))
        case .unsubscribe:
            let channel = try channel(envelope)
            let subscription = try data.string(.subscription, maxBytes: maxIdentifierBytes)
            guard subscription == nil || channel == .tables else {
                throw data.failure(.subscription, "expected none: only channel tables has several subscriptions")
            }
            return .unsubscribe(channel, subscription: subscription)
        case .queryExecute: return .executeQuery(try QueryRequest(data))
        case .queryCancel:
            return .cancelQuery(
                id: try identifier(.queryID, data.string(.queryID, maxBytes: maxIdentifierBytes), data)
            )
        case .querySubscribe: return .subscribeQuery(try LiveQueryRequest(data))
        case .queryUnsubscribe:
            let id = try data.string(.subscription, maxBytes: maxIdentifierBytes)
            return .unsubscribeQuery(try identifier(.subscription, id, data))
        case .rowWrite: return .writeRow(try RowWriteRequest(data))
        case .tokenRenew:
            let token = try data.string(.token, maxBytes: maxTokenBytes)
            return .renewToken(try identifier(.token, token, data))
        case .userIdentify:
            return .identify(
                username: try identifier(.username, data.string(.username, maxBytes: maxUsernameBytes), data)
            )
        case .userCursor: return .cursor(try CursorLocation(data))
        case .heartbeat: return .heartbeat(afterReplay: try data.bool(.afterReplay) ?? false)
        case let type:
            let isRequest = !type.isReserved || RelayFormat.requestTypes.contains(type)
            guard type.isWellFormed, isRequest else { throw unknownType(type) }
            return .custom(type, envelope.value(.data) ?? [:])
        }
    }

    /// The answer to a type that the receiver does not know.
    package static func unknownType(_ type: MessageType) -> ProtocolError {
        let known = MessageType.clientTypes.map(\.rawValue).joined(separator: ", ")
        return ProtocolError(.unknownType, "unknown type \(quoted(type.rawValue)): expected one of \(known)")
    }

    private static func channel(_ envelope: JSONFields) throws(ProtocolError) -> MessageChannel {
        let known = MessageChannel.allCases.map(\.rawValue).joined(separator: ", ")
        let name = try envelope.required(
            envelope.string(.channel, maxBytes: maxIdentifierBytes),
            .channel,
            "one of \(known)"
        )
        return try MessageChannel(parsing: name)
    }

    private static func identifier(_ name: ClientField, _ text: String?, _ data: JSONFields) throws(ProtocolError)
        -> String
    {
        guard let text, !text.isEmpty else { throw data.wrong(name, "a string that is not empty") }
        return text
    }
}
