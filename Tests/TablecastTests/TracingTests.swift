import InMemoryTracing
import SQLiteConnection
import Synchronization
import Tablecast
import Testing
import Tracing
import WireProtocol

/// The spans of commits, as the application's tracer receives them.
@Suite(.timeLimit(.minutes(1))) struct TracingTests {
    @Test func `a commit is traced through submit, commit, decode and publish`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let recorder = SpanRecorder.bootstrapped
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        recorder.start()
        let other = try Connection(path: database.path, mode: .readWrite)
        other.setBusyTimeout(.seconds(20))
        try other.execute("INSERT INTO t VALUES (1), (2)")
        other.close()
        // Its position is known once it is published, which is after the other commit.
        let summary = try await service.execute("INSERT INTO t VALUES (3)")
        #expect(summary.position?.sequence == 2)
        await service.shutDown()
        let spans = recorder.stop()

        #expect(spans.filter { $0.operationName == "tablecast.query" }.count == 1)
        #expect(spans.filter { $0.operationName == "tablecast.commit" }.count == 1)
        let decoding = spans.filter { $0.operationName == "tablecast.decode" }
        #expect(decoding.map { $0.attributes.get("tablecast.rows") } == [.int64(2), .int64(1)])
        let publishing = spans.filter { $0.operationName == "tablecast.publish" }
        #expect(publishing.count == 2)
        for (decode, publish) in zip(decoding, publishing) {
            #expect(decode.startInstant.nanosecondsSinceEpoch <= decode.endInstant.nanosecondsSinceEpoch)
            // The first is converted from another clock.
            #expect(decode.endInstant.nanosecondsSinceEpoch <= publish.startInstant.nanosecondsSinceEpoch + 50_000_000)
        }
    }
}

/// A tracer that records only between `start` and `stop`: there is one in the whole process.
private final class SpanRecorder: Tracer {
    static let bootstrapped: SpanRecorder = {
        let recorder = SpanRecorder()
        InstrumentationSystem.bootstrap(recorder)
        return recorder
    }()

    /// Nil while nothing is recorded.
    private let finished = Mutex<[FinishedInMemorySpan]?>(nil)

    func start() { finished.withLock { $0 = [] } }

    func stop() -> [FinishedInMemorySpan] {
        finished.withLock { spans in
            defer { spans = nil }
            return spans ?? []
        }
    }

    func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> ServiceContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> InMemorySpan {
        InMemorySpan(
            operationName: operationName,
            context: context(),
            spanContext: InMemorySpanContext(traceID: "trace", spanID: "span", parentSpanID: nil),
            kind: kind,
            startInstant: instant()
        ) { [self] span in finished.withLock { $0?.append(span) } }
    }

    func forceFlush() {}

    func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout ServiceContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {}

    func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {}
}
