import QueryEngine
import SQLiteConnection
import Testing

struct ProgressTests {
    @Test func `a long query reports at most at the requested interval`() async throws {
        let harness = try Harness()
        let running = harness.start(endlessQuery) { $0.progressInterval = .milliseconds(20) }
        await running.sink.wait { $0.progress.count >= 4 }
        harness.service.cancel(running.queryId, by: .administrator)
        _ = await running.sink.end()
        let elapsed = running.sink.log.progress.map(\.elapsed)
        for (earlier, later) in zip(elapsed, elapsed.dropFirst()) { #expect(later - earlier >= .milliseconds(20)) }
        #expect(running.sink.log.progress.allSatisfy { $0.fraction == nil }, "nobody knows how long it takes")
    }

    @Test func `a scan reports a percentage that grows`() async throws {
        let harness = try Harness("CREATE TABLE t(v); INSERT INTO t \(manyRows)")
        // A scan of some seconds: each row takes long.
        let slow = "SELECT count(*) FROM t WHERE length(hex(zeroblob(2000 + v % 2))) < v"
        let running = harness.start(slow) { $0.progressInterval = .milliseconds(20) }
        #expect(await running.sink.end().outcome != nil)
        let fractions = running.sink.log.progress.compactMap(\.fraction)
        #expect(fractions.count > 3)
        #expect(fractions == fractions.sorted())
        #expect(fractions.allSatisfy { $0 < 1 })
        #expect(running.sink.log.progress.last?.estimatedTotal == 1_000_000)
    }

    @Test func `a script names the statement it is at and gives no percentage`() async throws {
        let harness = try Harness()
        let running = harness.start("SELECT 1; \(endlessQuery)") { $0.progressInterval = .milliseconds(20) }
        await running.sink.wait { $0.progress.contains { $0.message == "statement 2: running" } }
        harness.service.cancel(running.queryId, by: .administrator)
        #expect(running.sink.log.progress.allSatisfy { $0.fraction == nil })
    }
}
