import Foundation
import Testing

@testable import WebSocketTransport

/// The errors of accept(2), according to its manual page.
@Suite struct AcceptPacingTests {
    @Test(arguments: [
        ECONNABORTED, EPERM, EPROTO, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, EOPNOTSUPP, ENOPROTOOPT, ETIMEDOUT,
        EINTR,
    ]) func `an error of one connection is nothing to the next`(_ code: CInt) {
        var pacing = AcceptPacing()
        #expect(pacing.failed(errno: code, at: .now).step == .proceed)
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM]) func `a lack of something is waited out`(_ code: CInt) {
        var pacing = AcceptPacing()
        for _ in 0..<1_000 { #expect(pacing.failed(errno: code, at: .now).step == .pause(AcceptPacing.pause)) }
    }

    @Test func `without a connection the thread sleeps, and a broken socket ends it`() {
        var pacing = AcceptPacing()
        #expect(pacing.failed(errno: EAGAIN, at: .now) == (.wait, 0))
        #expect(pacing.failed(errno: EBADF, at: .now) == (.end, 1))
    }

    @Test func `errors that do not end are paced`() {
        var pacing = AcceptPacing()
        let steps = (0..<130).map { _ in pacing.failed(errno: EPROTO, at: .now).step }
        #expect(steps.count { $0 == .pause(AcceptPacing.pause) } == 2)
        #expect(steps.count { $0 == .proceed } == 128)
    }

    @Test func `they are reported at once, and then now and again with their number`() {
        var pacing = AcceptPacing()
        let start = ContinuousClock.now
        #expect(pacing.failed(errno: EPROTO, at: start).report == 1)
        for _ in 0..<9 { #expect(pacing.failed(errno: EPROTO, at: start).report == 0) }
        #expect(pacing.failed(errno: EPROTO, at: start + AcceptPacing.reportInterval).report == 10)
    }
}
