import Testing

@testable import QueryEngine

struct LogGrowthTests {
    /// The lengths of the log after which a checkpoint is tried, of those that commits leave.
    private func attempts(_ frameCounts: [Int]) -> [Int] {
        var growth = LogGrowth()
        return frameCounts.filter { count in
            growth.committed(frameCount: count)
            return growth.takeAttempt(everyFrames: 10)
        }
    }

    @Test func `a checkpoint is tried again only after the log has grown by the threshold`() {
        // No checkpoint can shorten this log, because a reader needs it.
        #expect(attempts(Array(1...35)) == [10, 20, 30])
    }

    @Test func `a log that begins again is counted from its beginning`() {
        #expect(attempts([45, 4, 11, 12]) == [45, 11])
    }

    @Test func `there is no second attempt without a commit`() {
        var growth = LogGrowth()
        growth.committed(frameCount: 12)
        let answers = [growth.takeAttempt(everyFrames: 10), growth.takeAttempt(everyFrames: 10)]
        #expect(answers == [true, false])
    }
}
