package import SQLiteConnection

/// The place of a commit among all commits to a file with a rollback journal.
package struct CommitPlace: Hashable, Sendable {
    package var file: FileIdentity
    /// The file's change counter as the commit left it: no other commit to this file leaves the same one.
    package var changeCounter: UInt32

    package init(file: FileIdentity, changeCounter: UInt32) {
        self.file = file
        self.changeCounter = changeCounter
    }
}

extension Connection {
    /// The place that the running transaction has if it commits, for the commit hook; nil when it has written nothing, or not
    /// to a file with a rollback journal.
    package var placeOfCommit: CommitPlace? { place(nextChangeCounter) }

    /// The place of the last commit of any process; nil without a file with a rollback journal.
    package var placeOfLastCommit: CommitPlace? { place(changeCounter) }

    /// The place of a `VACUUM`, which calls no commit hook; nil when another process committed too since `before`.
    package func placeOfVacuum(since before: CommitPlace) -> CommitPlace? {
        placeOfLastCommit.flatMap { $0.changeCounter == before.changeCounter &+ 1 ? $0 : nil }
    }

    private func place(_ changeCounter: UInt32?) -> CommitPlace? {
        guard let file, let changeCounter else { return nil }
        return CommitPlace(file: file, changeCounter: changeCounter)
    }
}

/// The commits between two states of a file with a rollback journal.
struct CommitSpan {
    /// The place of an own commit relative to the span.
    enum Relation {
        /// It is in a state that was reported before, or its place is unknown.
        case earlier
        case within
        /// It is in none of the two states.
        case later
    }

    let file: FileIdentity
    /// The counter of the first state, and of the second one.
    let start: UInt32
    let end: UInt32
    /// The last own commit that had ended before the second state was read.
    let lastEnded: UInt64

    /// Zero for two equal states.
    var count: UInt32 { end &- start }

    func relation(of commit: LocalCommitLedger.Commit) -> Relation {
        guard let place = commit.place, place.file == file else { return .earlier }
        let distance = place.changeCounter &- start
        if distance > 0, distance <= count { return .within }
        // A state that was read after a commit contains it, unless another program than SQLite wrote over the file: then
        // its counter no longer says anything.
        return commit.token > lastEnded && Int32(bitPattern: place.changeCounter &- end) > 0 ? .later : .earlier
    }
}
