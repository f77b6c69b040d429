import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization
import Testing
import WireProtocol

@testable import Broadcast
@testable import Tablecast
@testable import TablecastHummingbird

/// The output of a query's messages is released with the query, even when that ends before it is connected.
@Suite(.timeLimit(.minutes(1))) struct QueryOutputLifeTests {
    /// Notifies the test when the query is over.
    private final class Output: QueryOutput {
        let ended: AsyncStream<Void>
        private let continuation: AsyncStream<Void>.Continuation
        var isWritable: Bool { true }

        init() { (ended, continuation) = AsyncStream.makeStream() }

        func send(event json: [UInt8]) {}
        func send(rows json: UnsafeRawBufferPointer) {}
        func finish() { continuation.finish() }
    }

    @Test func `a WebSocket client's output does not keep a query that was over before it was connected`() async throws
    {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        let output = ClientQueryOutput(
            hub: service.server.hub,
            client: ClientID(shard: 0, number: 1),
            rowBackpressure: RowBackpressure()
        )
        weak var kept: Output?
        do {
            let probe = Output()
            kept = probe
            let request = QueryRequest(sql: "SELECT 1")
            let query = service.run(request, for: .request(of: .anonymous), output: probe)
            for await _ in probe.ended {}
            output.finish()
            output.connect(query)
        }
        // The query's thread releases it shortly after it has reported the end.
        while kept != nil { await Task.yield() }
        await service.shutDown()
    }

    @Test func `a response releases waiting writers once everything is written`() {
        final class Query: Sendable {}
        let pipe = ResponsePipe()
        weak var kept: Query?
        do {
            let query = Query()
            kept = query
            pipe.finish()
            pipe.onDrain { _ = query }
            pipe.onCancel { _ = query }
        }
        #expect(kept == nil)
    }

    @Test func `a response that never begins notifies its writer`() {
        let pipe = ResponsePipe()
        let head = HTTPTypes.HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: "/events")
        let cancellations = Mutex(0)
        pipe.onCancel { cancellations.withLock { $0 += 1 } }
        do {
            let response = Response(status: .ok, body: pipe.body(of: Request(head: head, body: .init(buffer: .init()))))
            withExtendedLifetime(response) {
                #expect(cancellations.withLock { $0 } == 0)
            }
        }
        #expect(cancellations.withLock { $0 } == 1)
    }
}
