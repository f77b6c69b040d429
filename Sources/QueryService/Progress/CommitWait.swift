import Synchronization

/// The time between a query's commit and the moment at which its position is known: its reports of progress go on.
///
/// Thread-safe: the clerk reports, and whoever fulfils the receipt ends it. The lock keeps a report from coming behind the
/// end.
final class CommitWait: Sendable {
    /// Shorter queries are over before anybody wonders.
    static let patience = Duration.milliseconds(50)

    /// As the query's thread left it; its fraction is the share of the time that was over.
    private let last: QueryProgress
    private let sink: any QuerySink
    /// How long the rest should take, by how long the query took so far.
    private let expected: Duration?
    private let beganAt = ContinuousClock.now
    private let isOver = Mutex(false)

    init(_ last: QueryProgress, after duration: Duration, sink: any QuerySink) {
        self.last = last
        self.sink = sink
        expected = last.fraction.flatMap { $0 > 0 ? duration * ((1 - $0) / $0) : nil }
    }

    func report(at now: ContinuousClock.Instant) {
        let waited = beganAt.duration(to: now)
        var progress = last
        progress.message = "reading the commit from the log"
        progress.elapsed += waited
        if let fraction = last.fraction, let expected, expected > .zero {
            progress.fraction = max(fraction, min(fraction + (1 - fraction) * (waited / expected), 0.99))
        }
        isOver.withLock { isOver in
            if !isOver { sink.progress(progress) }
        }
    }

    func end() { isOver.withLock { $0 = true } }
}
