import Testing

@testable import QueryEngine

struct LogGrowthTests {
    @Test func `a checkpoint is tried again only after the log has grown by the threshold`() {
        var growth = LogGrowth()
        // No checkpoint can shorten this log, because a reader needs it.
        let attempts = (1...35).filter { count in
            growth.committed(frameCount: count)
            return growth.takeAttempt(everyFrames: 10)
        }
        #expect(attempts == [10, 20, 30])
    }

    @Test func `a log that begins again is counted from its beginning`() {
        var growth = LogGrowth()
        growth.committed(frameCount: 45)
        #expect(growth.takeAttempt(everyFrames: 10))
        growth.committed(frameCount: 4)
        #expect(!growth.takeAttempt(everyFrames: 10))
        growth.committed(frameCount: 11)
        #expect(growth.takeAttempt(everyFrames: 10))
    }

    @Test func `there is no second attempt without a commit`() {
        var growth = LogGrowth()
        growth.committed(frameCount: 12)
        #expect(growth.takeAttempt(everyFrames: 10))
        #expect(!growth.takeAttempt(everyFrames: 10))
    }
}
