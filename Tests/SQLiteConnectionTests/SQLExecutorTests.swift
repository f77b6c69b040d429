import Synchronization
import Testing

@testable import SQLiteConnection

struct SQLExecutorTests {
    /// Notes where it was created and released.
    private final class Context {
        let onRelease: @Sendable () -> Void
        var jobs: [Int] = []
        init(onRelease: @escaping @Sendable () -> Void = {}) { self.onRelease = onRelease }
        deinit { onRelease() }
    }

    @Test func `jobs run in order on one context`() async throws {
        let executor = try SQLExecutor(name: "test") { Context() }
        for job in 0..<100 { executor.submit { $0.jobs.append(job) } }
        #expect(try await executor.run { $0.jobs } == Array(0..<100))
    }

    @Test func `an error reaches the caller, and the executor continues`() async throws {
        let executor = try SQLExecutor(name: "test") { try? Connection(path: ":memory:", mode: .readWriteCreate) }
        await #expect(throws: SQLiteError.self) { try await executor.run { try $0?.query("SELECT * FROM none") } }
        #expect(try await executor.run { try $0?.query("SELECT 1") } == [[.integer(1)]])
    }

    @Test func `a stopped executor runs the jobs that it has, accepts no more, and ends once`() async throws {
        let steps = Mutex<[String]>([])
        let executor = try SQLExecutor(name: "test") { Context(onRelease: { steps.withLock { $0.append("release") } }) }
        let parker = Parker()
        executor.submit { _ in parker.sleep() }
        executor.submit { _ in steps.withLock { $0.append("job") } }
        await withCheckedContinuation { continuation in
            executor.stop {
                steps.withLock { $0.append("end") }
                continuation.resume()
            }
            executor.stop { steps.withLock { $0.append("second end") } }
            #expect(!executor.submit { _ in steps.withLock { $0.append("late") } })
            parker.wake()
        }
        #expect(steps.withLock { $0 } == ["job", "release", "end"])
        await #expect(throws: SQLExecutorStopped.self) { try await executor.run { _ in } }
    }

    @Test func `a thread that starts when it is needed starts with the first job`() async throws {
        let isCreated = Mutex(false)
        let executor = try SQLExecutor(name: "test", startsWhenNeeded: true) { isCreated.withLock { $0 = true } }
        #expect(!isCreated.withLock { $0 })
        #expect(try await executor.run { _ in isCreated.withLock { $0 } })
        let unused = try SQLExecutor(name: "test", startsWhenNeeded: true) { Issue.record("nothing needs it") }
        await withCheckedContinuation { continuation in unused.stop { continuation.resume() } }
        #expect(!unused.submit { _ in })
    }

    @Test func `the thread ends with its executor`() async throws {
        await withCheckedContinuation { continuation in
            let executor = try? SQLExecutor(name: "test") { Context(onRelease: { continuation.resume() }) }
            #expect(executor?.submit { _ in } == true)
        }
    }

    @Test func `a job is released once it has run`() async throws {
        let executor = try SQLExecutor(name: "test") {}
        await withCheckedContinuation { continuation in
            let kept = Context(onRelease: { continuation.resume() })
            let job = { @Sendable [kept = Holder(kept)] (_: Void) in withExtendedLifetime(kept) {} }
            executor.submit(job)
        }
        executor.stop()
    }

    private final class Holder: @unchecked Sendable {
        let context: Context
        init(_ context: Context) { self.context = context }
    }
}
