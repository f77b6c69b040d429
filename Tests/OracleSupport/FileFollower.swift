import ChangeCapture

/// Captures the commits of a file in both ways: commit by commit from the log, and several commits as one from the
/// pages that differ.
final class FileFollower {
    private let recorded: RecordedCommits
    private let log: CommitCapture
    private let comparison: CommitCapture
    /// As of what was compared last.
    private var image: DatabaseImage

    init(path: String) throws {
        recorded = try RecordedCommits(path: path)
        image = recorded.image
        var limits = WatcherLimits()
        limits.transaction = CaptureLimits()
        log = try CommitCapture(image, limits: limits)
        comparison = try CommitCapture(image, limits: limits)
    }

    /// The changes of each commit since the last call.
    func commits() throws -> [ChangeSet] {
        try recorded.next().map { commit in
            try log.changes(
                pages: commit.changedPages,
                evidence: .frames,
                from: commit.before,
                to: commit.after,
                level: .values
            )
        }
    }

    /// The combined changes of all commits since the last call.
    func difference() throws -> ChangeSet {
        let now = recorded.image
        defer { image = now }
        return try comparison.changes(
            pages: image.differences(from: now),
            evidence: .differences,
            from: image,
            to: now,
            level: .values
        )
    }
}
