import WireProtocol

/// The successive connections of one sequence: opens the first in the first ``next(isolation:)``, and another one after each
/// that was lost, with growing, randomized waits.
///
/// It has ended after the cancellation of its task, after an error that a new attempt would not change, and after ``end()``:
/// then its connection is closed, and messages that were received but not read are dropped.
struct ReconnectingConnection {
    enum Event {
        /// A connection is open; its first message follows.
        case opened
        case received(ReceivedMessage)
        /// There is no connection; the next attempt is made after the wait.
        case lost(TablecastClientError, retryAfter: Duration)
    }

    private enum State {
        case disconnected(wait: Duration)
        case open(ClientConnection, ReceivedMessages.Iterator)
        case ended
    }

    private let client: TablecastClient
    private var state = State.disconnected(wait: .zero)
    private var backoff: Backoff
    /// Whether a failed attempt to connect is repeated.
    private var retries: Bool

    /// - Parameter waitsForServer: whether to repeat the first attempt too.
    init(_ client: TablecastClient, waitsForServer: Bool = false) {
        self.client = client
        retries = waitsForServer
        backoff = Backoff(maxWait: client.maxReconnectWait)
    }

    /// The next message, or change of the connection; nil after the end.
    mutating func next(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) -> Event? {
        do throws(TablecastClientError) {
            let event = Task.isCancelled ? nil : try await advance(isolation: actor)
            if event == nil { end() }
            return event
        } catch {
            end()
            throw error
        }
    }

    private mutating func advance(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) -> Event? {
        switch state {
        case .ended: return nil
        case .disconnected(let wait):
            // A sleep fails only in a cancelled task.
            if wait > .zero, (try? await Task.sleep(for: wait)) == nil { return nil }
            return try await connect(isolation: actor)
        case .open(let connection, var messages):
            if let message = try await messages.next(isolation: actor) {
                state = .open(connection, messages)
                return .received(message)
            }
            guard !Task.isCancelled else { return nil }
            let failure = await connection.failure
            return try lost(failure)
        }
    }

    private mutating func connect(isolation actor: isolated (any Actor)?) async throws(TablecastClientError) -> Event {
        do throws(TablecastClientError) {
            let connection = try await client.connect()
            state = .open(connection, connection.messages.makeAsyncIterator())
            retries = true
            return .opened
        } catch {
            return try lost(error)
        }
    }

    private mutating func lost(_ failure: TablecastClientError) throws(TablecastClientError) -> Event {
        guard retries, failure.isTransient else { throw failure }
        return .lost(failure, retryAfter: reconnect())
    }

    /// Closes the connection; another one is opened after the returned wait.
    mutating func reconnect() -> Duration {
        let wait = backoff.next(spread: .random(in: 0...1))
        state = .disconnected(wait: wait)
        return wait
    }

    /// Sends a message over the open connection.
    func send(_ message: ClientMessage, isolation actor: isolated (any Actor)?) async {
        guard case .open(let connection, _) = state else { return }
        // When the connection has ended, its last messages come first, and then its end with the reason.
        try? await connection.send(message)
    }

    /// The server works: the next wait is the shortest again.
    mutating func succeeded() { backoff.reset() }

    /// Closes the connection, and drops the messages that were not read.
    mutating func end() { state = .ended }
}
