import SQLiteConnection
import Testing

@testable import QueryEngine

struct BackpressureTests {
    @Test func `a receiver that is not writable stops only its own query`() async throws {
        let harness = try Harness("CREATE TABLE t(v)") { $0.limits.readerCount = 1 }
        let slow = harness.start(manyRows, sink: RecordingSink(isWritable: false))
        await slow.sink.wait { $0.batches > 0 }
        #expect(await harness.run("INSERT INTO t VALUES (1)").end.outcome != nil)
        #expect(await harness.rows("SELECT count(*) FROM t") == [[.integer(1)]])
        #expect(slow.sink.log.batches == 1)
        slow.sink.setWritable(true)
        slow.handle.resume()
        #expect(await slow.sink.end().outcome?.rowCount == 1_000_000)
    }

    @Test func `a receiver that stops for too long ends the query with a reason`() async throws {
        let harness = try Harness { $0.limits.maxPause = .milliseconds(30) }
        let slow = harness.start(manyRows, sink: RecordingSink(isWritable: false))
        let failure = await slow.sink.end().failure
        #expect(failure?.code == .interrupted)
        #expect(failure?.message.contains("took no rows") == true)
        #expect(slow.sink.log.batches == 1)
    }

    @Test func `rows that come slowly go out before the batch is full`() async throws {
        let harness = try Harness()
        let slow = harness.start("SELECT 1 UNION ALL SELECT * FROM (\(endlessQuery))")
        await slow.sink.wait { $0.batches > 0 }
        #expect(slow.sink.log.rows == [[.integer(1)]])
        harness.service.cancel(slow.queryId, by: .administrator)
        #expect(await slow.sink.end().cancelReason == .client)
    }
}
