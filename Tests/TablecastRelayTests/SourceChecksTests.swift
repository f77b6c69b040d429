import Synchronization
import Testing

@testable import TablecastRelay

/// When the callers that wait for what a source knows go on.
struct SourceChecksTests {
    private var checks = SourceChecks()
    private let ended = Ended()

    /// The names of the callers that went on.
    private final class Ended: Sendable {
        let names = Mutex<[String]>([])
    }

    private mutating func add(_ name: String) -> String? {
        let ended = ended
        return id(checks.add { ended.names.withLock { $0.append(name) } })
    }

    private func id(_ step: SourceChecks.Step) -> String? {
        if case .ask(let id) = step { id } else { nil }
    }

    private mutating func answer(_ id: String?) -> String? {
        let (callers, next) = checks.answered(id ?? "")
        for caller in callers { caller() }
        return self.id(next)
    }

    private var names: [String] { ended.names.withLock { $0 } }

    @Test mutating func `a caller waits for the connection, then for the answer`() {
        #expect(add("a") == nil)
        let id = id(checks.connected())
        #expect(id != nil)
        #expect(names == [])
        #expect(answer(id) == nil)
        #expect(names == ["a"])
    }

    @Test mutating func `a caller that came after the request waits for another one`() {
        _ = checks.connected()
        let first = add("a")
        #expect(add("b") == nil)
        #expect(add("c") == nil)
        let second = answer(first)
        #expect(names == ["a"])
        #expect(second != nil && second != first)
        #expect(answer(second) == nil)
        #expect(names == ["a", "b", "c"])
    }

    @Test mutating func `a lost connection ends no wait, and the next one asks again`() {
        _ = checks.connected()
        let first = add("a")
        checks.disconnected()
        #expect(answer(first) == nil)
        #expect(names == [])
        #expect(answer(id(checks.connected())) == nil)
        #expect(names == ["a"])
    }

    @Test mutating func `the number of callers is bounded`() {
        for _ in 0..<SourceChecks.maxCallers { _ = add("a") }
        guard case .refuse = checks.add({}) else {
            Issue.record("one too many was accepted")
            return
        }
    }
}
