import SQLiteConnection
import Synchronization
import Testing

@testable import ChangeCapture

/// Own commits that follow one another at once are captured together, and none of them waits long.
@Suite struct CommitGroupTests {
    private let start = ContinuousClock.now

    @Test func `a commit that nothing follows is captured at once`() {
        var group = CommitGroup()
        let mustNotify = group.add(isFollowed: false, at: start)
        #expect(mustNotify && !group.isOpen)
    }

    @Test func `the watcher is notified of the first and the last commit of a group`() {
        var group = CommitGroup()
        var notified: [Bool] = []
        for isFollowed in [true, true, true, false] { notified.append(group.add(isFollowed: isFollowed, at: start)) }
        #expect(notified == [true, false, false, true])
        #expect(!group.isOpen)
    }

    @Test func `a group ends with its last commit, after its time, and when it is full`() {
        var group = CommitGroup()
        _ = group.add(isFollowed: true, at: start)
        #expect(group.deadline == start + CommitGroup.maxTime)
        let isLate = group.add(isFollowed: true, at: start + CommitGroup.maxTime)
        #expect(isLate && !group.isOpen)
        for _ in 1..<CommitGroup.maxCommits { _ = group.add(isFollowed: true, at: start) }
        #expect(group.isOpen)
        let isFull = group.add(isFollowed: true, at: start)
        #expect(isFull && !group.isOpen)
        _ = group.add(isFollowed: true, at: start)
        group.end()
        #expect(group == CommitGroup())
    }

    /// Notes the batches in which transactions arrive.
    private final class BatchLog: DatabaseEventSink {
        private let state = Monitor<(open: [UInt64], ended: [[UInt64]])>(([], []))

        func receive(_ event: DatabaseEvent) {
            guard case .transaction(let transaction) = event, let token = transaction.token else { return }
            #expect(transaction.isInBatch)
            state.withLock { $0.open.append(token) }
        }

        func endOfBatch() {
            state.update { state in
                if !state.open.isEmpty { state.ended.append(state.open) }
                state.open = []
            }
        }

        /// The tokens in batches that have ended, once there are so many.
        func tokens(_ count: Int) -> [UInt64]? {
            state.wait(atMost: .seconds(30)) { state in
                let tokens = state.ended.flatMap(\.self)
                return tokens.count >= count ? tokens : nil
            }
        }
    }

    @Test func `every commit of a group is delivered once and in order, also if the group is never ended`() throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let log = BatchLog()
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let own = watcher.localCommits
        let frames = Mutex<UInt32>(0)
        let connection = try Connection(path: database.path, mode: .readWrite)
        connection.setCommitHook {
            own.willCommit()
            return .commit
        }
        connection.setWALHook { _, count in frames.withLock { $0 = UInt32(count) } }
        for token in UInt64(1)...500 {
            try connection.execute("INSERT INTO t VALUES(\(token))")
            let commit = LocalCommitLedger.Commit(token: token, frameCount: frames.withLock { $0 }, changes: nil)
            own.didCommit(commit, isFollowed: token % 50 != 49)
            if token % 100 == 0 { own.groupEnded() }
        }
        #expect(log.tokens(500) == Array(1...500))
        watcher.stop()
    }
}
