import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The decision whether a later process knows all commits since an earlier one.
@Suite struct ContinuityCheckTests {
    private let salt = WALSalt(first: 7, second: 99)
    private let other = WALSalt(first: 8, second: 12)
    private let seal = FileSeal(
        identity: FileIdentity(device: 1, inode: 2),
        byteCount: 40_960,
        seconds: 1_000,
        nanoseconds: 5,
        header: WALChecksum(first: 1, second: 2),
        pageCount: 10
    )

    /// Frames of the pages given, each a commit of ten pages, with a checksum that its number determines.
    private func frames(_ pages: [UInt32], pageCounts: [UInt32: UInt32] = [:]) -> (UInt32) -> WALFrameHeader? {
        { number in
            guard number >= 1, number <= pages.count else { return nil }
            let words = [pages[Int(number) - 1], pageCounts[number] ?? 10, salt.first, salt.second, number, number]
            return words.map(\.bigEndian).withUnsafeBytes { WALFrameHeader($0) }
        }
    }

    private func mark(_ frame: UInt32) -> LogMark {
        LogMark(salt: salt, lastFrame: frame, checksum: WALChecksum(first: frame, second: frame), pageCount: 10)
    }

    private func check(
        _ state: CapturedState,
        _ pages: [UInt32],
        copied: UInt32 = 0,
        salt: WALSalt? = nil,
        seal: FileSeal? = nil,
        pageCounts: [UInt32: UInt32] = [:],
        differs: ((UInt32, [UInt32]) -> Bool)? = nil
    ) -> Result<Continuation, WatchError> {
        let findings = LogFindings(
            salt: salt ?? self.salt,
            lastFrame: UInt32(pages.count),
            copiedFrameCount: copied,
            seal: seal,
            frame: frames(pages, pageCounts: pageCounts),
            differs: differs
        )
        return Result { () throws(WatchError) in
            try ContinuityCheck(state: state, findings: findings).continuation()
        }
    }

    private func code(_ result: Result<Continuation, WatchError>) -> EpochReason.Code? {
        if case .failure(.discontinuity(let reason)) = result { reason.code } else { nil }
    }

    @Test func `the frames after the last published one are new`() {
        #expect(check(CapturedState(log: mark(2)), [3, 4, 5]) == .success(.log(afterFrame: 2)))
        #expect(check(CapturedState(log: mark(3)), [3, 4, 5]) == .success(.log(afterFrame: 3)))
    }

    @Test func `a log that ends earlier is broken`() {
        #expect(code(check(CapturedState(log: mark(4)), [3, 4, 5])) == .logRecovered)
    }

    @Test func `another frame in its place is broken`() {
        var mark = mark(2)
        mark.checksum.first = 5
        #expect(code(check(CapturedState(log: mark), [3, 4, 5])) == .restarted)
        mark = self.mark(2)
        mark.pageCount = 11
        #expect(code(check(CapturedState(log: mark), [3, 4, 5])) == .restarted)
    }

    @Test func `a page that a checkpoint overwrote is broken, unless an earlier frame has it`() {
        // Frame 3 may be in the file.
        #expect(code(check(CapturedState(log: mark(2)), [3, 4, 5, 6], copied: 3)) == .restarted)
        #expect(check(CapturedState(log: mark(2)), [3, 4, 3, 6], copied: 3) == .success(.log(afterFrame: 2)))
        #expect(check(CapturedState(log: mark(2)), [3, 4, 5, 6], copied: 2) == .success(.log(afterFrame: 2)))
        // A page beyond the end of the database had no content.
        #expect(check(CapturedState(log: mark(2)), [3, 4, 11, 6], copied: 3) == .success(.log(afterFrame: 2)))
    }

    @Test func `a page that differs from all frames that could have overwritten it is still there`() {
        var asked: [UInt32: [UInt32]] = [:]
        let result = check(CapturedState(log: mark(2)), [3, 4, 5, 5, 3, 6], copied: 5) { page, frames in
            asked[page] = frames
            return true
        }
        #expect(result == .success(.log(afterFrame: 2)))
        #expect(asked == [5: [3, 4]])
        #expect(code(check(CapturedState(log: mark(2)), [3, 4, 5], copied: 3) { _, _ in false }) == .restarted)
    }

    @Test func `a database that became smaller may have lost pages at its end`() {
        let result = check(CapturedState(log: mark(2)), [3, 4, 3, 4], copied: 4, pageCounts: [3: 8])
        #expect(code(result) == .restarted)
        #expect(
            check(CapturedState(log: mark(2)), [3, 4, 3, 4], copied: 2, pageCounts: [3: 8])
                == .success(.log(afterFrame: 2))
        )
    }

    @Test func `an unchanged file proves that nothing was overwritten`() {
        let state = CapturedState(log: mark(2), seal: seal)
        #expect(check(state, [3, 4, 5, 6], copied: 4, seal: seal) == .success(.log(afterFrame: 2)))
    }

    @Test func `a file that was complete, and was written without a later commit, was overwritten`() {
        var found = seal
        found.nanoseconds += 1
        let state = CapturedState(log: mark(3), seal: seal)
        #expect(code(check(state, [3, 4, 5], copied: 3, seal: found)) == .overwritten)
    }

    @Test func `another file with the same log is not continued`() {
        var state = CapturedState(log: mark(2), file: seal.identity)
        #expect(check(state, [3, 4, 5], seal: seal) == .success(.log(afterFrame: 2)))
        state.file = FileIdentity(device: 1, inode: 3)
        #expect(code(check(state, [3, 4, 5], seal: seal)) == .restarted)
        // A device can get another number.
        state.file = FileIdentity(device: 9, inode: 2)
        #expect(check(state, [3, 4, 5], seal: seal) == .success(.log(afterFrame: 2)))
    }

    @Test func `with another log the file must be unchanged`() {
        let state = CapturedState(log: mark(2), seal: seal)
        #expect(check(state, [5, 6], copied: 2, salt: other, seal: seal) == .success(.file))
        #expect(check(state, [], salt: other, seal: seal) == .success(.file))
        #expect(code(check(CapturedState(log: mark(2)), [5], salt: other, seal: seal)) == .restarted)
        #expect(code(check(CapturedState(), [], seal: seal)) == .restarted)
    }

    @Test func `a file that was written is not unchanged`() {
        let state = CapturedState(log: mark(2), seal: seal)
        for change: (inout FileSeal) -> Void in [
            { $0.byteCount += 1 }, { $0.seconds += 1 }, { $0.nanoseconds += 1 }, { $0.header.first += 1 },
        ] {
            var found = seal
            change(&found)
            #expect(code(check(state, [], salt: other, seal: found)) == .restarted)
        }
    }

    @Test func `another file is named as such`() {
        var found = seal
        found.identity = FileIdentity(device: 1, inode: 3)
        let result = check(CapturedState(log: mark(2), seal: seal), [], salt: other, seal: found)
        guard case .failure(.discontinuity(let reason)) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(reason.message.hasSuffix("the path names another file than before"))
    }
}
