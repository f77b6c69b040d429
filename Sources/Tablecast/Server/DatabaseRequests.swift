import Broadcast
import QueryService
import WireProtocol

/// What clients can ask of a database. A server that only broadcasts has nobody to ask.
protocol DatabaseRequests: AnyObject, Sendable {
    /// The database's name in messages.
    var databaseName: String { get }

    /// Throws what is wrong with the conditions of subscriptions to tables.
    func check(_ request: SubscribeRequest) throws(ProtocolError)
    /// A client is about to subscribe.
    func subscribes(_ request: SubscribeRequest)
    func execute(_ query: WireProtocol.QueryRequest, replyTo: String?, for client: ConnectedClient)
    /// Whether an identity may change rows at all; which ones is for each statement to say.
    func mayWrite(_ identity: Identity) -> Bool
    /// Sends the rows of a query, then what every commit changes in them.
    func subscribe(_ request: LiveQueryRequest, replyTo: String?, for client: ConnectedClient) throws(ProtocolError)
    func unsubscribe(query: String, replyTo: String?, for client: ConnectedClient) throws(ProtocolError)
    func write(_ row: RowWriteRequest, replyTo: String?, for client: ConnectedClient)
    func cancel(queryID: String, by client: ConnectedClient) throws(ProtocolError)
    /// Sends the rows as of one position, then every change after it.
    func sendSnapshot(_ request: SubscribeRequest, replyTo: String?, to client: ConnectedClient) throws(ProtocolError)
    /// Cancels all queries and rolls back what is open; returns when they have ended, or after two seconds.
    func endQueries() async
    /// Cancels the client's queries and rolls back what it began.
    func left(_ client: ConnectedClient)
}

/// A client as the service knows it.
struct ConnectedClient: Sendable {
    /// In the hub.
    let id: ClientID
    /// On the wire, as `clientId` and `userId`.
    let name: String
    let username: String
    /// Who it is, and what it may do.
    let identity: Identity
    /// Whose share of the limits it takes: see ``Identity/share(from:)``.
    var share: String?
}
