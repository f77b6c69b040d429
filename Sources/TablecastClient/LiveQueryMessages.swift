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
        private let client: TablecastClient
        /// With the position after which the query continues.
        private var request: LiveQueryRequest
        private var connection: ClientConnection?
        private var messages: ReceivedMessages.Iterator?
        private var backoff: Backoff
        private var isReconnecting = false
        private var isOver = false

        private static let requestID = "live"

        fileprivate init(client: TablecastClient, request: LiveQueryRequest) {
            self.client = client
            self.request = request
            backoff = Backoff(maxWait: client.maxReconnectWait)
        }

        package mutating func next() async throws(TablecastClientError) -> ReceivedMessage? {
            try await next(isolation: nil)
        }

        package mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> ReceivedMessage? {
            while !isOver, !Task.isCancelled {
                do {
                    if let message = try await advance(isolation: actor) { return message }
                } catch {
                    isOver = true
                    messages = nil
                    throw error
                }
            }
            messages = nil
            return nil
        }

        /// Reads one message, or connects.
        private mutating func advance(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> ReceivedMessage? {
            guard let connection, var reader = messages else {
                try await connect(isolation: actor)
                return nil
            }
            let message = try await reader.next(isolation: actor)
            messages = reader
            guard let message else {
                guard !Task.isCancelled else { return nil }
                let failure = await connection.failure
                self.connection = nil
                messages = nil
                guard failure.isTransient else { throw failure }
                await wait(isolation: actor)
                return nil
            }
            return try isOfQuery(message.envelope) ? message : nil
        }

        private mutating func connect(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) {
            do {
                let connection = try await client.connect()
                try await connection.send(ClientMessage(id: Self.requestID, .subscribeQuery(request)))
                self.connection = connection
                messages = connection.messages.makeAsyncIterator()
                isReconnecting = true
            } catch  where isReconnecting && error.isTransient {
                await wait(isolation: actor)
            }
        }

        private mutating func wait(isolation actor: isolated (any Actor)?) async {
            // A cancelled task ends the iteration.
            try? await Task.sleep(for: backoff.next(spread: .random(in: 0...1)))
        }

        private mutating func isOfQuery(_ message: Envelope) throws(TablecastClientError) -> Bool {
            switch message.payload {
            case .querySubscribed: return true
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
            // The server works: the next failure is the first again.
            backoff.reset()
        }
    }
}
