import Testing

@testable import QueryEngine

struct QueryTimeBudgetTests {
    private let start = ContinuousClock.now
    private var budget = QueryTimeBudget(perSecond: .milliseconds(500), burst: .seconds(2))

    @Test func `an identity waits until it has time again`() {
        var budget = budget
        #expect(budget.wait(of: "ada", at: start) == nil)
        budget.take(.seconds(1), of: "ada", at: start)
        #expect(budget.wait(of: "ada", at: start) == nil)
        budget.take(.seconds(3), of: "ada", at: start)
        // Two seconds of debt.
        #expect(budget.wait(of: "ada", at: start) == .seconds(4))
        #expect(budget.wait(of: "bob", at: start) == nil)
        #expect(budget.wait(of: "ada", at: start + .seconds(3)) == .seconds(1))
        #expect(budget.wait(of: "ada", at: start + .milliseconds(4_002)) == nil)
    }

    @Test func `no more is saved than the burst`() {
        var budget = budget
        budget.take(.seconds(1), of: "ada", at: start)
        budget.take(.seconds(2), of: "ada", at: start + .seconds(3_600))
        #expect(budget.wait(of: "ada", at: start + .seconds(3_600)) != nil)
    }

    @Test func `identities that have all of their time take no memory`() {
        var budget = budget
        for number in 0..<10_000 {
            budget.take(.milliseconds(1), of: "\(number)", at: start + .milliseconds(number * 10))
        }
        #expect(budget.count < 2_048)
    }
}
