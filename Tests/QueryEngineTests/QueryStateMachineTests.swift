import RandomSupport
import SQLiteConnection
import Testing

@testable import QueryEngine

/// Every event in every state, without threads, SQL or time.
struct QueryStateMachineTests {
    enum Event: String, CaseIterable {
        case attachRead, attachWrite, detach, pause, resume, requeue, finish, finishCommitted, endCancelled, cancel
        case published, abort, tick
    }

    /// A machine with its clock.
    struct Subject {
        var now = ContinuousClock.now
        var machine: QueryStateMachine
        let start: ContinuousClock.Instant
        /// Every result that it has returned to be reported.
        var results = 0

        init() {
            start = now
            machine = QueryStateMachine(deadline: now + .seconds(10))
        }

        init(_ events: [Event]) {
            self.init()
            for event in events { _ = apply(event) }
        }

        /// A word for the machine's answer; "-" when there is nothing to do.
        mutating func apply(_ event: Event) -> String {
            switch event {
            case .attachRead: word(machine.attach(interruptDelay: .milliseconds(25)))
            case .attachWrite: word(machine.attach(interruptDelay: nil))
            case .detach: machine.detach().map { "\($0)" } ?? "-"
            case .pause: word(machine.pause(at: now))
            case .resume: word(machine.resume(at: now))
            case .requeue: word(machine.requeue())
            case .finish: word(machine.finish(.failed(Self.failure)))
            case .finishCommitted: word(machine.finish(.completed(Self.outcome), awaiting: .init(progress: nil)))
            case .endCancelled: word(machine.endCancelled(rowCount: 0))
            case .cancel: word(machine.cancel(.client, at: now))
            case .published: word(machine.published(PublishedCommit(position: "p")))
            case .abort: word(machine.abort(.failed(Self.failure)))
            case .tick: word(machine.tick(at: now).action)
            }
        }

        private func word(_: Void) -> String { "-" }
        private func word(_ action: some Hashable) -> String { "\(action)" == "none" ? "-" : "\(action)" }
        private func word(_ action: QueryStateMachine.AttachAction) -> String {
            switch action {
            case .run: "run"
            case .stop(let reason): "\(reason)"
            case .none: "-"
            }
        }
        private mutating func word(_ result: QueryResult?) -> String {
            guard let result else { return "-" }
            results += 1
            return switch result {
            case .completed: "completed"
            case .failed: "failed"
            case .cancelled: "cancelled"
            }
        }

        static let failure = QueryFailure(.sqlError, "wrong")
        static let outcome = QueryOutcome(
            rowCount: 0,
            duration: .zero,
            changes: 1,
            truncated: false,
            inTransaction: false
        )
    }

    /// How to reach each state.
    private static let states: [(name: String, events: [Event])] = [
        ("queued", []),
        ("reading", [.attachRead]),
        ("writing", [.attachWrite]),
        ("paused", [.attachRead, .pause]),
        ("committing", [.attachWrite, .detach]),
        ("awaiting", [.attachWrite, .detach, .finishCommitted]),
        ("ended", [.attachRead, .finish]),
    ]

    private func table(after prefix: [Event] = [], elapsed: Duration = .zero) -> String {
        let width = 16
        func line(_ cells: [String]) -> String {
            let padded = cells.map { $0 + String(repeating: " ", count: max(width - $0.count, 1)) }.joined()
            return String(padded.reversed().drop { $0 == " " }.reversed())
        }
        var lines = [line([""] + Self.states.map(\.name))]
        for event in Event.allCases {
            var cells = [event.rawValue]
            for state in Self.states {
                var subject = Subject(state.events + prefix)
                subject.now += elapsed
                cells.append(subject.apply(event))
            }
            lines.append(line(cells))
        }
        return lines.joined(separator: "\n")
    }

    @Test func `what every event does in every state`() {
        #expect(
            table() == """
                                queued          reading         writing         paused          committing      awaiting        ended
                attachRead      run             run             run             run             run             -               -
                attachWrite     run             run             run             run             run             -               -
                detach          -               -               -               -               -               -               -
                pause           -               -               -               -               -               -               -
                resume          -               -               -               -               -               -               -
                requeue         run             run             run             run             run             -               -
                finish          failed          failed          failed          failed          failed          -               -
                finishCommitted -               -               -               -               -               -               -
                endCancelled    -               -               -               -               -               -               -
                cancel          wake            wake            interrupt       wake            wake            -               -
                published       -               -               -               -               -               completed       -
                abort           failed          failed          failed          failed          failed          -               -
                tick            -               -               -               -               -               -               -
                """
        )
    }

    @Test func `what every event does in every state after a cancel`() {
        #expect(
            table(after: [.cancel]) == """
                                queued          reading         writing         paused          committing      awaiting        ended
                attachRead      client          client          client          client          client          -               -
                attachWrite     client          client          client          client          client          -               -
                detach          client          client          client          client          client          -               -
                pause           -               -               -               -               -               -               -
                resume          -               -               -               -               -               -               -
                requeue         client          client          client          client          client          -               -
                finish          failed          failed          failed          failed          failed          -               -
                finishCommitted -               -               -               -               -               -               -
                endCancelled    cancelled       cancelled       cancelled       cancelled       -               -               -
                cancel          -               -               -               -               -               -               -
                published       -               -               -               -               -               completed       -
                abort           failed          failed          failed          failed          failed          -               -
                tick            -               -               -               -               -               -               -
                """
        )
    }

    @Test func `what every event does in every state once the time is over`() {
        #expect(
            table(elapsed: .seconds(11)) == """
                                queued          reading         writing         paused          committing      awaiting        ended
                attachRead      run             run             run             run             run             -               -
                attachWrite     run             run             run             run             run             -               -
                detach          -               -               -               -               -               -               -
                pause           -               -               -               -               -               -               -
                resume          -               -               -               -               -               -               -
                requeue         run             run             run             run             run             -               -
                finish          failed          failed          failed          failed          failed          -               -
                finishCommitted -               -               -               -               -               -               -
                endCancelled    -               -               -               -               -               -               -
                cancel          wake            wake            interrupt       wake            wake            -               -
                published       -               -               -               -               -               completed       -
                abort           failed          failed          failed          failed          failed          -               -
                tick            timeOut         timeOut         timeOut         -               timeOut         -               -
                """
        )
    }

    @Test func `what every event does in every state long after a cancel`() {
        #expect(
            table(after: [.cancel], elapsed: .seconds(2)) == """
                                queued          reading         writing         paused          committing      awaiting        ended
                attachRead      client          client          client          client          client          -               -
                attachWrite     client          client          client          client          client          -               -
                detach          client          client          client          client          client          -               -
                pause           -               -               -               -               -               -               -
                resume          -               -               -               -               -               -               -
                requeue         client          client          client          client          client          -               -
                finish          failed          failed          failed          failed          failed          -               -
                finishCommitted -               -               -               -               -               -               -
                endCancelled    cancelled       cancelled       cancelled       cancelled       -               -               -
                cancel          -               -               -               -               -               -               -
                published       -               -               -               -               -               completed       -
                abort           failed          failed          failed          failed          failed          -               -
                tick            -               interrupt       starve          -               -               -               -
                """
        )
    }

    @Test func `a query has exactly one end, and nothing follows it`() {
        var random = SeededGenerator.announced()
        var ends = 0
        for _ in 0..<20_000 {
            var subject = Subject()
            var trace: [String] = []
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                let event = Event.allCases.randomElement(using: &random) ?? .tick
                subject.now += .milliseconds(Int.random(in: 0...400, using: &random))
                let (hadEnded, reason) = (subject.machine.hasEnded, subject.machine.cancelReason)
                let answer = subject.apply(event)
                trace.append("\(event) \(answer)")
                if hadEnded { #expect(["-", "client"].contains(answer), "\(trace)") }
                if reason != nil { #expect(subject.machine.cancelReason == reason, "\(trace)") }
                #expect(subject.results == (subject.machine.hasEnded ? 1 : 0), "\(trace)")
            }
            ends += subject.results
        }
        #expect(ends > 10_000)
    }

    @Test func `only a query that an executor runs is interrupted, starved or abandoned`() {
        var random = SeededGenerator.announced()
        var seen: [String: Int] = [:]
        for _ in 0..<20_000 {
            var subject = Subject()
            var isAttached = false
            for _ in 0..<12 {
                let event =
                    Event.allCases.filter { ![.finish, .abort, .endCancelled].contains($0) }
                    .randomElement(using: &random) ?? .tick
                subject.now += .milliseconds(Int.random(in: 0...800, using: &random))
                let answer = subject.apply(event)
                switch event {
                case .attachRead, .attachWrite: if answer == "run" { isAttached = true }
                case .requeue: if answer == "run" { isAttached = false }
                case .detach, .finishCommitted: isAttached = false
                default: break
                }
                if ["interrupt", "starve", "abandon"].contains(answer) {
                    #expect(isAttached)
                    seen[answer, default: 0] += 1
                }
            }
        }
        #expect(seen.count == 3)
    }

    // MARK: Time

    @Test func `time in which the receiver does not read does not count`() {
        var subject = Subject([.attachRead, .pause])
        subject.now += .seconds(60)
        #expect(subject.machine.tick(at: subject.now).action == .none)
        _ = subject.apply(.resume)
        #expect(subject.machine.tick(at: subject.now).next == subject.start + .seconds(70))
        subject.now += .seconds(10)
        #expect(subject.machine.tick(at: subject.now).action == .timeOut)
    }

    @Test func `a query is announced once when it runs for a while, and not before it runs`() {
        let start = ContinuousClock.now
        let due = start + QueryStateMachine.announceDelay
        var machine = QueryStateMachine(deadline: start + .seconds(10), announcesAt: due)
        #expect(machine.tick(at: start) == (.none, due))
        // It waits for its turn.
        #expect(machine.tick(at: due) == (.none, due + QueryStateMachine.announceDelay))
        _ = machine.attach(interruptDelay: nil)
        #expect(machine.tick(at: due) == (.announce, due))
        #expect(machine.tick(at: due) == (.none, start + .seconds(10)))

        machine = QueryStateMachine(deadline: start + .seconds(10), announcesAt: due)
        _ = machine.attach(interruptDelay: nil)
        #expect(machine.tick(at: start) == (.none, due))
        machine.detach()
        #expect(machine.finish(.completed(Subject.outcome), awaiting: .init()) == nil)
        #expect(machine.tick(at: due) == (.announce, due))
        #expect(machine.published(PublishedCommit(position: "e:7")) != nil)
        #expect(machine.tick(at: due) == (.none, nil))
    }

    @Test func `a cancelled read is interrupted after a moment, and abandoned when that does not help`() {
        var subject = Subject([.attachRead, .cancel])
        #expect(subject.machine.tick(at: subject.now) == (.none, subject.start + .milliseconds(25)))
        subject.now += .milliseconds(25)
        #expect(subject.machine.tick(at: subject.now) == (.interrupt, subject.start + .milliseconds(250)))
        #expect(subject.machine.tick(at: subject.now) == (.none, subject.start + .milliseconds(250)))
        subject.now += .milliseconds(225)
        // Its executor may be using the sink: then it is tried again.
        #expect(subject.machine.tick(at: subject.now) == (.abandon, subject.now + .milliseconds(250)))
        #expect(subject.apply(.abort) == "failed")
        #expect(subject.machine.tick(at: subject.now) == (.none, nil))
    }

    @Test func `a cancelled write is interrupted at once, gets no more memory later, and is never abandoned`() {
        var subject = Subject([.attachWrite])
        #expect(subject.apply(.cancel) == "interrupt")
        #expect(subject.machine.tick(at: subject.now) == (.none, subject.start + .seconds(1)))
        subject.now += .seconds(1)
        #expect(subject.machine.tick(at: subject.now) == (.starve, nil))
        subject.now += .seconds(100)
        #expect(subject.machine.tick(at: subject.now) == (.none, nil))
    }

    @Test func `a cancel during a commit ends the script before its next statement`() {
        var subject = Subject([.attachWrite, .detach])
        #expect(subject.apply(.cancel) == "wake")
        #expect(!subject.machine.mustStop, "the commit runs to its end")
        #expect(subject.apply(.attachWrite) == "client")
    }

    @Test func `the first cancel counts`() {
        var subject = Subject([.attachRead])
        _ = subject.machine.cancel(.timeout, at: subject.now)
        #expect(subject.machine.cancel(.shutdown, at: subject.now) == .none)
        #expect(subject.machine.cancelReason == .timeout)
    }

    // MARK: The position of a commit

    @Test func `a committed query ends with the position of its commit`() {
        var subject = Subject([.attachWrite, .detach])
        #expect(subject.machine.finish(.completed(Subject.outcome), awaiting: .init()) == nil)
        let result = subject.machine.published(PublishedCommit(position: "e:7"))
        guard case .completed(let outcome) = result else { return #expect(Bool(false)) }
        #expect(outcome.receipt == "e:7")
    }

    @Test func `a committed query whose commit could not be synced fails, and says that it committed`() {
        var subject = Subject([.attachWrite, .detach])
        #expect(subject.machine.finish(.completed(Subject.outcome), awaiting: .init()) == nil)
        let error = SQLiteError(code: .inputOutputSync, message: "no disk")
        let result = subject.machine.published(PublishedCommit(position: "e:7", syncFailure: error))
        guard case .failed(let failure) = result else { return #expect(Bool(false)) }
        #expect(failure.code == .databaseError && failure.sqliteCode == ResultCode.inputOutputSync.rawValue)
        #expect(failure.message == "committed at position e:7, durability unknown: no disk")
    }

    @Test func `a script that failed after a commit that could not be synced names both`() {
        var subject = Subject([.attachWrite, .detach])
        #expect(subject.machine.finish(.failed(Subject.failure), awaiting: .init()) == nil)
        let error = SQLiteError(code: .inputOutputSync, message: "no disk")
        let result = subject.machine.published(PublishedCommit(position: "e:7", syncFailure: error))
        guard case .failed(let failure) = result else { return #expect(Bool(false)) }
        #expect(failure.message == "wrong; what it committed before, durability unknown: no disk")
    }

    @Test func `reports go on while the position is waited for, and their share grows`() {
        var subject = Subject([.attachWrite, .detach])
        let last = QueryProgress(fraction: 0.5, message: "", rowCount: 3, elapsed: .seconds(4), estimatedTotal: 9)
        let progress = CommitProgress(last, after: .seconds(4), interval: .seconds(1), at: subject.now)
        #expect(subject.machine.finish(.completed(Subject.outcome), awaiting: .init(progress: progress)) == nil)
        #expect(subject.machine.tick(at: subject.now) == (.none, subject.now + .seconds(1)))
        var shares: [Double?] = []
        for second in 1...9 {
            subject.now += .seconds(1)
            guard case .report(let report) = subject.machine.tick(at: subject.now).action else {
                return #expect(Bool(false), "\(second)")
            }
            #expect(report.elapsed == .seconds(4 + second) && report.rowCount == 3 && report.estimatedTotal == 9)
            shares.append(report.fraction)
        }
        // It took four seconds for the first half.
        #expect(shares == [0.625, 0.75, 0.875, 0.99, 0.99, 0.99, 0.99, 0.99, 0.99])
        #expect(subject.apply(.published) == "completed")
        subject.now += .seconds(1)
        #expect(subject.machine.tick(at: subject.now) == (.none, nil))
    }
}
