package import SQLiteConnection
import Synchronization

/// SQL access to the state before and after a commit, for a thread that follows the watcher at its own pace.
///
/// It has its own pins: a commit that the watcher has passed stays readable here, while ``pinAge`` grows. Two
/// connections alternate: the one that showed the state after a commit shows the state before the next one, with a warm
/// cache.
///
/// One thread at a time. It works like ``WALSession``; see the article "Commits of other processes".
package final class CommitViews {
    private let hold: LogHold
    private let file: DatabaseFile
    private let pins: SnapshotPins
    private let store: PageStore
    private var cursors: (SnapshotCursor, SnapshotCursor)
    /// The commits that the first and the second cursor show.
    private var shown: (CommitMark?, CommitMark?) = (nil, nil)
    /// Which cursor shows the state after the commit.
    package private(set) var isFirstAfter = false

    private var pin: SnapshotPins.Pin
    /// A newer pin, which replaces ``pin`` once ``mark`` has reached it.
    private var nextPin: SnapshotPins.Pin?
    /// When ``nextPin`` was taken.
    private var nextPinnedAt = ContinuousClock.now
    /// When the pinned commit was superseded; nil while it is the newest.
    private var outdatedSince: ContinuousClock.Instant?
    private var repin = RepinPolicy()

    /// The commit reached last, and the one before it.
    package private(set) var mark: CommitMark
    private var previous: CommitMark

    /// Opens the file and pins its newest commit. Follow it with ``begin(at:)``.
    ///
    /// - Parameter hold: of the watcher that is followed.
    package init(path: String, limits: WatcherLimits, hold: LogHold) throws(WatchError) {
        let opened = try WatchError.wrap { () throws(SQLiteError) in
            let file = try DatabaseFile(path: path, mode: .readWrite, busyTimeout: limits.busyTimeout)
            return (file, try file.walIndex())
        }
        self.hold = hold
        file = opened.0
        guard let index = opened.1 else {
            file.close()
            throw .discontinuity(.stateLost("the write-ahead log has no index"))
        }
        do {
            pins = try SnapshotPins(path: path, file: file, index: index, limits: limits)
            store = try PageStore(file: file, maxCacheBytes: limits.maxPageCacheBytes)
            pin = try pins.pinNext()
            pins.advance()
            let reader = SnapshotReader(store: store, salt: pin.header.salt, lastFrame: 0, pageCount: 1)
            cursors = try WatchError.wrap { () throws(SQLiteError) in
                (try SnapshotCursor(reader), try SnapshotCursor(reader))
            }
        } catch {
            file.close()
            throw error
        }
        mark = CommitMark(salt: pin.header.salt, lastFrame: pin.header.maxFrame, pageCount: pin.header.pageCount)
        previous = mark
        hold.set(.frames)
    }

    /// Releases everything; the connections must not be used any more, and no statement of theirs may be kept.
    package func close() {
        hold.set(.nothing)
        pins.close()
        file.close()
    }

    /// Both connections, for one-time configuration.
    package var connections: [Connection] { [cursors.0.connection, cursors.1.connection] }

    /// Starts at the watcher's own position. False while the watcher has not reached the pinned commit: call again with
    /// a later mark, after ``renewPin()`` when the log was restarted meanwhile.
    package func begin(at mark: CommitMark) throws(WatchError) -> Bool {
        guard mark.includes(pin.header) else { return false }
        store.forgetFrames(next: 1)
        if pin.isDatabaseComplete { store.forgetFrames(next: pin.header.maxFrame + 1) }
        try index(upTo: mark)
        self.mark = mark
        previous = mark
        return true
    }

    /// Advances to a later commit of the watcher; ``before`` is then the previous one.
    ///
    /// - Throws: when its frames cannot be read: continuity is lost.
    package func advance(to next: CommitMark) throws(WatchError) {
        previous = mark
        if next.salt != mark.salt {
            // The log was restarted, after every frame reached had been copied into the database file; the pin keeps
            // the file unchanged.
            store.forgetFrames(next: 1)
            previous = CommitMark(salt: next.salt, lastFrame: 0, pageCount: mark.pageCount)
        }
        try index(upTo: next)
        mark = next
        isFirstAfter.toggle()
        if outdatedSince == nil, !isPinned(next) { outdatedSince = .now }
        takeOverNextPin()
    }

    /// SQL access to the previous state.
    package var before: Connection { connection(isFirstAfter ? 1 : 0, at: previous) }

    /// SQL access to the current state.
    package var after: Connection { connection(isFirstAfter ? 0 : 1, at: mark) }

    // MARK: The pin

    /// How long the pinned state has not been the newest one reached: the log cannot start from its beginning
    /// meanwhile.
    package var pinAge: Duration { outdatedSince.map { .now - $0 } ?? .zero }

    /// How many frames the log has grown by since then.
    package var pinnedFrameCount: Int {
        mark.salt == pin.header.salt
            ? Int(mark.lastFrame) - Int(min(mark.lastFrame, pin.header.maxFrame)) : Int(mark.lastFrame)
    }

    /// Pins the newest commit; the old pin is released once ``advance(to:)`` has reached it.
    package func renewPin() throws(WatchError) {
        guard nextPin == nil else { return }
        nextPin = try pins.pinNext()
        nextPinnedAt = .now
        takeOverNextPin()
    }

    /// How long a newer pin has waited for ``advance(to:)``; nil when there is none.
    package var pendingPinAge: Duration? { nextPin == nil ? nil : .now - nextPinnedAt }

    /// Starts again with the newest commit, when ``begin(at:)`` has not succeeded.
    package func restartPin() throws(WatchError) {
        if nextPin != nil { pins.abandonNext() }
        nextPin = nil
        pin = try pins.pinNext()
        pins.advance()
        outdatedSince = nil
        hold.set(.frames)
        mark = CommitMark(salt: pin.header.salt, lastFrame: pin.header.maxFrame, pageCount: pin.header.pageCount)
    }

    /// Moves the pin to the lock that lets writers restart the log, once everything is copied.
    package func rest() throws(WatchError) {
        guard nextPin == nil, let header = pins.header() else { return }
        let status = LogStatus(
            frameCount: header.maxFrame,
            backfilledFrameCount: pins.backfilledFrameCount,
            isPinnedToDatabaseOnly: pin.isDatabaseOnly && pin.header.isSameCommit(as: header)
        )
        if repin.shouldRepin(status, at: .now) { try renewPin() }
    }

    private func takeOverNextPin() {
        guard let next = nextPin, mark.includes(next.header) else { return }
        pins.advance()
        pin = next
        nextPin = nil
        outdatedSince = isPinned(mark) ? nil : .now
        hold.set(isResting ? .file(mark) : .frames)
        if next.isDatabaseComplete, mark.lastFrame == next.header.maxFrame {
            // The log may be written from its beginning now: no frame of it may be read any more.
            store.forgetFrames(next: next.header.maxFrame + 1)
        }
    }

    /// Whether the newest commit reached is pinned with the lock that lets writers restart the log.
    package var isResting: Bool { pin.isDatabaseOnly && isPinned(mark) }

    private func isPinned(_ mark: CommitMark) -> Bool {
        mark.salt == pin.header.salt && mark.lastFrame == pin.header.maxFrame
    }

    // MARK: Pages

    private func index(upTo mark: CommitMark) throws(WatchError) {
        while store.nextFrame <= mark.lastFrame { _ = try store.indexNextFrame(salt: mark.salt, upTo: mark.lastFrame) }
    }

    private func connection(_ number: Int, at mark: CommitMark) -> Connection {
        let cursor = number == 0 ? cursors.0 : cursors.1
        if (number == 0 ? shown.0 : shown.1) != mark {
            cursor.move(
                to: SnapshotReader(store: store, salt: mark.salt, lastFrame: mark.lastFrame, pageCount: mark.pageCount)
            )
            if number == 0 { shown.0 = mark } else { shown.1 = mark }
        }
        return cursor.connection
    }
}

/// What ``CommitViews`` keep of the log, for the watcher that they follow: it does not let writers go on until they keep no
/// frame. Thread-safe.
package final class LogHold: Sendable {
    enum Kept {
        case nothing
        /// The database file as it is as of a commit, and no frame: the log can start from its beginning as long as this is the
        /// newest commit.
        case file(CommitMark)
        case frames
    }

    private let kept = Mutex(Kept.nothing)

    func set(_ kept: Kept) { self.kept.withLock { $0 = kept } }

    /// Whether the log cannot start from its beginning, with `newest` being the newest commit.
    func isInTheWay(of newest: WALIndexHeader) -> Bool {
        switch kept.withLock({ $0 }) {
        case .nothing: false
        case .file(let mark): mark.salt != newest.salt || mark.lastFrame != newest.maxFrame
        case .frames: true
        }
    }
}
