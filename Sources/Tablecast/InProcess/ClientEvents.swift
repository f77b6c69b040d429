public import WireProtocol

/// A client that is connected over WebSocket.
public struct ClientInfo: Sendable, Hashable {
    /// The `clientId` of its `connection:ack`, for ``WebSocketServer/send(_:channel:toClient:)`` and others.
    public let id: String
    public let username: String
    /// The id of its identity; empty without a token.
    public let identityID: String
    public let role: Role

    init(_ client: ConnectedClient) {
        id = client.name
        username = client.username
        identityID = client.identity.id
        role = client.identity.role
    }
}

/// What a client did. Later versions can have further cases: handle those you need, and others with `default`.
public enum ClientEvent: Sendable, Hashable {
    case connected(ClientInfo)
    /// With the code of the close frame, or 1006 when there was none.
    case disconnected(ClientInfo, code: UInt16, reason: String)
    /// The client gave itself a name.
    case renamed(ClientInfo)
    /// A message of the application's own type, such as `chat:message`, with its `data`.
    case message(ClientInfo, type: MessageType, data: JSONValue)
}

extension WebSocketServer {
    /// What clients do from now on: they connect, disconnect, and send messages of the application's own types.
    ///
    /// ```swift
    /// for try await event in server.clientEvents() {
    ///     guard case .message(let client, let type, let data) = event, type == MessageType("chat:message") else {
    ///         continue
    ///     }
    ///     server.broadcast(.custom(type, data), to: .collaboration, excluding: client.id)
    /// }
    /// ```
    ///
    /// The events of one client come in their order. While nothing iterates, a message of an unknown type is answered with
    /// `UNKNOWN_TYPE`. Event streams send no messages, and are not among the clients here.
    ///
    /// - Parameter maxBufferedEvents: how many events the reader may fall behind; then the sequence ends with
    ///   ``ClientEvents/Overflow``.
    public func clientEvents(maxBufferedEvents: Int = 10_000) -> ClientEvents {
        let overflow = ClientEvents.Overflow(maxEvents: maxBufferedEvents)
        return ClientEvents(stream: clients.observers.subscribe(maxBuffered: maxBufferedEvents, overflow: overflow))
    }

    /// The clients that are connected now.
    public var connectedClients: [ClientInfo] { clients.all.map { ClientInfo($0) } }
}

/// The events of ``WebSocketServer/clientEvents(maxBufferedEvents:)``. Can be iterated once.
public struct ClientEvents: AsyncSequence, Sendable {
    public typealias Element = ClientEvent
    public typealias Failure = any Error

    /// The reader fell behind by more than the buffer holds.
    public struct Overflow: Error, Sendable, Hashable {
        public let maxEvents: Int
    }

    fileprivate let stream: AsyncThrowingStream<ClientEvent, any Error>

    public func makeAsyncIterator() -> Iterator { Iterator(base: stream.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var base: AsyncThrowingStream<ClientEvent, any Error>.Iterator

        public mutating func next() async throws -> ClientEvent? { try await base.next() }
    }
}
