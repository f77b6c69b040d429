import Broadcast
import Synchronization
import Tablecast
import TablecastClient
import WireProtocol

/// Sends requests of the relay's clients to the source, each client's over a connection of its own, and the answers back.
///
/// A connection for each client that asks for anything, and not one for all: so the source cancels, rolls back and limits
/// as for its own clients, and a client that does not read its result delays no other one. Thread-safe.
final class Forwarder: Sendable {
    /// Clients whose requests are forwarded at the same time.
    static let maxClients = 1_000

    private let feed: RelayFeed
    private let hub: Hub
    private let clients = Mutex<[ClientID: ForwardedClient]>([:])
    /// They outlive the connections: what was meant for a transaction that was lost with one must not run on the next.
    private let transactions = Mutex<[ClientID: ClientTransaction]>([:])

    init(feed: RelayFeed, hub: Hub) {
        self.feed = feed
        self.hub = hub
    }

    /// The client receives the answers, or an error.
    func send(_ body: ClientMessage.Body, replyTo: String?, for client: ConnectedClient) {
        let message = ClientMessage(id: replyTo, body)
        let request = ForwardedRequest(message)
        do throws(ProtocolError) {
            try forwarded(client).send(message, request)
        } catch {
            hub.send(refusal(of: request, error, replyTo: replyTo, for: client.id), to: client.id)
        }
    }

    private func refusal(
        of request: ForwardedRequest?,
        _ error: ProtocolError,
        replyTo: String?,
        for client: ClientID
    ) -> EncodedMessage {
        guard var request else { return .error(error, replyTo: replyTo) }
        // The relay's own one, if the client has sent none.
        request.id = error.requestID ?? request.id
        let (refusal, isOfTransaction) = transaction(of: client).state.withLock { $0.refuse(request, error) }
        return isOfTransaction
            ? request.failed(refusal, inTransaction: nil) : .error(refusal, replyTo: replyTo)
    }

    private func transaction(of client: ClientID) -> ClientTransaction {
        transactions.withLock { transactions in
            if let known = transactions[client] { return known }
            let new = ClientTransaction()
            transactions[client] = new
            return new
        }
    }

    /// Holds back the transactions of the subscription until the source has sent the rows.
    func sendSnapshot(
        _ request: SubscribeRequest,
        replyTo: String?,
        to client: ConnectedClient
    ) throws(ProtocolError) {
        let forwarded = try forwarded(client)
        let hold = try hub.hold(client.id, TableSubscription(request.filter), replacing: request.replaces)
        // The subscription that it replaces is one of the relay.
        var request = request
        request.replaces = nil
        let message = ClientMessage(id: replyTo, .subscribe(request))
        do throws(ProtocolError) {
            try forwarded.send(message, snapshot: ForwardedClient.Snapshot(hold: hold, replyTo: replyTo))
        } catch {
            hub.abandon(hold, replyTo: replyTo)
            throw error
        }
    }

    private func forwarded(_ client: ConnectedClient) throws(ProtocolError) -> ForwardedClient {
        let source = try feed.source(for: client.identity, share: client.share)
        let transaction = transaction(of: client.id)
        let result = clients.withLock { clients in
            Result { () throws(ProtocolError) in
                if let known = clients[client.id], !known.hasEnded {
                    // The relay may receive from another source by now: its clients follow when they have nothing at this one.
                    guard known.address != source.address, known.retire() else { return known }
                }
                guard clients.count < Self.maxClients else {
                    throw ProtocolError(
                        .tooManyQueries,
                        "this relay forwards the requests of at most \(Self.maxClients) clients; try again"
                    )
                }
                let new = ForwardedClient(
                    client.id,
                    username: client.username,
                    hub: hub,
                    source: source,
                    transaction: transaction
                )
                clients[client.id] = new
                return new
            }
        }
        return try result.get()
    }

    /// The client has disconnected: so its connection to the source ends, and with it what it began there.
    func left(_ client: ClientID) {
        clients.withLock { $0.removeValue(forKey: client) }?.end()
        _ = transactions.withLock { $0.removeValue(forKey: client) }
    }

    func endAll() {
        let all = clients.withLock { clients in
            defer { clients = [:] }
            return clients.values
        }
        for client in all { client.end() }
    }
}
