import Synchronization
import Tablecast
import TablecastClient
import WireProtocol

/// A database file with the interface of a server for `query`: it accepts the protocol's messages and answers with
/// them.
///
/// Thread-safe, for one reader of ``messages``.
final class LocalConnection: QueryConnection {
    /// Bytes of messages that wait to be printed; beyond this the query pauses.
    private static let maxWaitingBytes = 1 << 20

    let messages: LocalMessages
    private let database: LocalDatabase
    private let output: Output

    init(path: String) throws {
        database = try LocalDatabase(path: path)
        let (stream, continuation) = AsyncStream<String>.makeStream()
        output = Output(continuation)
        messages = LocalMessages(stream: stream, output: output)
        // The same greeting as a server's.
        var greeting = JSONWriter()
        greeting.envelope(
            EnvelopeHeader(.connectionAck, channel: .notifications),
            ConnectionAckPayload(
                clientID: "local",
                connectedAt: UnixTime.milliseconds,
                serverInfo: ServerInfo(version: TablecastVersion.current, capabilities: []),
                heartbeatInterval: 0
            )
        )
        output.send(event: greeting.bytes)
    }

    func send(_ message: ClientMessage) {
        switch message.body {
        case .executeQuery(let query):
            let id = query.queryID
            output.connect(database.run(query, replyTo: id, output: output))
        case .cancelQuery(let id): database.cancel(queryID: id)
        default: break
        }
    }

    /// Only a query's own messages end the session.
    var end: String { get async { "the database was closed" } }

    func close() async { await database.shutDown() }

    /// The messages of the query.
    fileprivate final class Output: QueryOutput {
        private let continuation: AsyncStream<String>.Continuation
        private let waitingBytes = Atomic<Int>(0)
        private let query = Mutex<RunningQuery?>(nil)

        init(_ continuation: AsyncStream<String>.Continuation) { self.continuation = continuation }

        func connect(_ query: RunningQuery) {
            self.query.withLock { $0 = query }
            // The query may already be waiting.
            query.resume()
        }

        func send(event json: [UInt8]) { yield(String(decoding: json, as: UTF8.self)) }

        func send(rows json: UnsafeRawBufferPointer) { yield(String(decoding: json, as: UTF8.self)) }

        private func yield(_ text: String) {
            waitingBytes.add(text.utf8.count, ordering: .relaxed)
            continuation.yield(text)
        }

        var isWritable: Bool { waitingBytes.load(ordering: .relaxed) < LocalConnection.maxWaitingBytes }

        /// The reader has taken a message.
        func taken(_ text: String) {
            let (before, after) = waitingBytes.subtract(text.utf8.count, ordering: .relaxed)
            guard before >= LocalConnection.maxWaitingBytes, after < LocalConnection.maxWaitingBytes else { return }
            query.withLock { $0 }?.resume()
        }

        func finish() { continuation.finish() }
    }
}

/// The messages of a ``LocalConnection``; taking one makes room for others.
struct LocalMessages: AsyncSequence, Sendable {
    typealias Element = ReceivedMessage

    fileprivate let stream: AsyncStream<String>
    fileprivate let output: LocalConnection.Output

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var iterator: AsyncStream<String>.AsyncIterator
        fileprivate let output: LocalConnection.Output

        mutating func next() async throws -> ReceivedMessage? {
            guard let text = await iterator.next() else { return nil }
            output.taken(text)
            return ReceivedMessage(envelope: try Envelope(parsing: text.utf8), json: text)
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(iterator: stream.makeAsyncIterator(), output: output)
    }
}
