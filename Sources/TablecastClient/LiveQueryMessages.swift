package import WireProtocol

/// The messages of one live query, over as many connections as needed.
package struct LiveQueryMessages: AsyncSequence, Sendable {
    package typealias Element = ReceivedMessage
    package typealias Failure = TablecastClientError

    private let client: TablecastClient
    private let request: LiveQueryRequest

    package init(client: TablecastClient, request: LiveQueryRequest) {
        self.client = client
        self.request = request
    }

    package func makeAsyncIterator() -> Iterator { Iterator(client: client, request: request) }

    package struct Iterator: AsyncIteratorProtocol {
        /// With the position after which the query continues.
        private var request: LiveQueryRequest
        /// The id of the query at the server.
        private var subscription: String?
        private var connection: ReconnectingConnection

        private static let requestID = "live"

        fileprivate init(client: TablecastClient, request: LiveQueryRequest) {
            self.request = request
            connection = ReconnectingConnection(client)
        }

        package mutating func next() async throws(TablecastClientError) -> ReceivedMessage? {
            try await next(isolation: nil)
        }

        package mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> ReceivedMessage? {
            while let event = try await connection.next(isolation: actor) {
                switch event {
                case .opened:
                    let subscribe = ClientMessage(id: Self.requestID, .subscribeQuery(request))
                    await connection.send(subscribe, isolation: actor)
                case .lost: continue
                case .received(let message):
                    do throws(TablecastClientError) {
                        if try isOfQuery(message.envelope) { return message }
                    } catch {
                        let mayPass = error.errorCode?.mayPass(hadBegun: subscription != nil) ?? false
                        guard mayPass else {
                            connection.end()
                            throw error
                        }
                        _ = connection.reconnect()
                    }
                }
            }
            return nil
        }

        private mutating func isOfQuery(_ message: Envelope) throws(TablecastClientError) -> Bool {
            switch message.payload {
            case .querySubscribed(let subscribed): subscription = subscribed.subscription
            case .querySnapshot(let snapshot): complete(snapshot.isLast, message)
            case .queryChanged(let changed): complete(changed.isLast, message)
            case .queryReached: complete(true, message)
            case .queryUnsubscribed(let ended):
                var failure = TablecastClientError(.requestFailed, ended.reason ?? "the server ended the query")
                failure.errorCode = ended.code
                throw failure
            case .error(let error) where message.header.replyTo == Self.requestID: throw TablecastClientError(error)
            default: return false
            }
            return true
        }

        private mutating func complete(_ isComplete: Bool, _ message: Envelope) {
            guard isComplete, let position = message.header.position else { return }
            request.since = position
            request.resumes = subscription
            connection.succeeded()
        }
    }
}
