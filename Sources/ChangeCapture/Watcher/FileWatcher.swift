/// Reports every committed transaction of a SQLite file, whichever process made it, row by row with old and new values.
///
/// ```swift
/// import ChangeCapture
///
/// for try await transaction in try FileWatcher(path: "my.db").changes {
///     for case .rows(let rows) in transaction.events {
///         print(rows.table.name, rows.inserted, rows.updated, rows.deleted)
///     }
/// }
/// ```
///
/// Nothing is installed in the database and nothing written to it. The file should be in WAL mode, where each commit is
/// reported exactly once and in order; in other journal modes see *Commits of other processes*, an article of the module `Tablecast`. The work is done on a thread
/// of its own, which ends when the iteration ends, when its task is cancelled or when the watcher is released.
///
/// Source: [Write-Ahead Logging](https://sqlite.org/wal.html).
public final class FileWatcher: Sendable {
    private let watcher: DatabaseWatcher
    private let stream: AsyncThrowingStream<DatabaseEvent, any Error>

    /// Opens the file. Every transaction that commits after this has returned is reported.
    ///
    /// - Parameters:
    ///   - path: of a database file, not a URI.
    ///   - limits: every bound and interval, with defaults that serve well.
    ///   - maxBufferedTransactions: how far the reader may fall behind. Past this the sequences end with
    ///     ``WatchError/bufferOverflow(maxTransactions:)``: they never leave anything out.
    /// - Throws: ``WatchError`` when there is no such file or it is no database.
    public init(
        path: String,
        limits: WatcherLimits = WatcherLimits(),
        maxBufferedTransactions: Int = 10_000
    ) throws(WatchError) {
        let (stream, continuation) = AsyncThrowingStream<DatabaseEvent, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(maxBufferedTransactions)
        )
        self.stream = stream
        let sink = StreamSink(continuation, maxTransactions: maxBufferedTransactions)
        let watcher = try DatabaseWatcher(path: path, sink: sink, limits: limits)
        self.watcher = watcher
        try watcher.start()
        continuation.onTermination = { [weak watcher] _ in watcher?.requestStop() }
    }

    deinit { watcher.requestStop() }

    /// The transactions from the opening on, in commit order. Can be iterated once.
    ///
    /// Ends with an error where continuity ends, so that nobody takes a gap for silence: the file was replaced, or recovered
    /// after a crash, or the reader fell behind too far. Open the file anew then, and take a new copy of what is kept of it.
    public var changes: Changes { Changes(watcher: self) }

    /// The same with everything else that is worth knowing; goes on when the file is replaced. Can be iterated once, instead
    /// of ``changes``.
    public var events: Events { Events(watcher: self) }

    /// Everything that happens to a file. See ``FileWatcher/events``.
    public struct Events: AsyncSequence, Sendable {
        public typealias Element = DatabaseEvent
        public typealias Failure = WatchError

        let watcher: FileWatcher

        public func makeAsyncIterator() -> Iterator {
            Iterator(watcher: watcher, base: watcher.stream.makeAsyncIterator())
        }

        public struct Iterator: AsyncIteratorProtocol {
            // Kept so that iterating a temporary watcher does not end it.
            private let watcher: FileWatcher
            private var base: AsyncThrowingStream<DatabaseEvent, any Error>.Iterator

            init(watcher: FileWatcher, base: AsyncThrowingStream<DatabaseEvent, any Error>.Iterator) {
                self.watcher = watcher
                self.base = base
            }

            public mutating func next() async throws(WatchError) -> DatabaseEvent? {
                try await next(isolation: nil)
            }

            public mutating func next(
                isolation actor: isolated (any Actor)?
            ) async throws(WatchError) -> DatabaseEvent? {
                do {
                    return try await base.next(isolation: actor)
                } catch {
                    throw error as? WatchError ?? .stopped
                }
            }
        }
    }

    /// The committed transactions of a file. See ``FileWatcher/changes``.
    public struct Changes: AsyncSequence, Sendable {
        public typealias Element = ChangeSet
        public typealias Failure = WatchError

        let watcher: FileWatcher

        public func makeAsyncIterator() -> Iterator { Iterator(events: watcher.events.makeAsyncIterator()) }

        public struct Iterator: AsyncIteratorProtocol {
            private var events: Events.Iterator

            init(events: Events.Iterator) { self.events = events }

            public mutating func next() async throws(WatchError) -> ChangeSet? { try await next(isolation: nil) }

            public mutating func next(isolation actor: isolated (any Actor)?) async throws(WatchError) -> ChangeSet? {
                while let event = try await events.next(isolation: actor) {
                    switch event {
                    case .transaction(let transaction): return transaction.changes
                    case .epochChanged(let reason): throw .discontinuity(reason)
                    case .databaseGone, .databaseBack, .notice: continue
                    }
                }
                return nil
            }
        }
    }
}

/// Puts events into a stream's buffer, and ends the stream when it is full.
private final class StreamSink: DatabaseEventSink {
    private let continuation: AsyncThrowingStream<DatabaseEvent, any Error>.Continuation
    private let maxTransactions: Int

    init(_ continuation: AsyncThrowingStream<DatabaseEvent, any Error>.Continuation, maxTransactions: Int) {
        self.continuation = continuation
        self.maxTransactions = maxTransactions
    }

    func receive(_ event: DatabaseEvent) {
        if case .dropped = continuation.yield(event) {
            continuation.finish(throwing: WatchError.bufferOverflow(maxTransactions: maxTransactions))
        }
    }
}
