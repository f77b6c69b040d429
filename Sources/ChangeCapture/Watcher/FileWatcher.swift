import SQLiteConnection

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
/// It installs nothing in the database and changes none of its content; it runs checkpoints, and takes the write lock for
/// some milliseconds when the log could not restart otherwise. The file should be in WAL mode, where each commit is
/// reported exactly once and in order; in other journal modes see *Commits of other processes*, an article of the
/// module `Tablecast`. It works on its own thread, which ends when the iteration ends, when its task is cancelled or
/// when the watcher is released.
///
/// Source: [Write-Ahead Logging](https://sqlite.org/wal.html).
public final class FileWatcher: Sendable {
    private let watcher: DatabaseWatcher
    private let stream: AsyncThrowingStream<DatabaseEvent, any Error>

    /// Opens the file. Every transaction that commits after this call returned is reported.
    ///
    /// - Parameters:
    ///   - path: the path of a database file, not a URI.
    ///   - limits: all limits and intervals; the defaults suit most uses.
    ///   - maxBufferedTransactions: how many transactions the reader may fall behind. Beyond this the sequences end
    ///     with ``WatchError/bufferOverflow(maxTransactions:)``: they never skip a transaction.
    /// - Throws: ``WatchError`` when there is no such file or it is not a database.
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

    /// The transactions since the opening, in commit order. Can be iterated once.
    ///
    /// Ends with an error where continuity ends, so that a gap is never mistaken for silence: the file was replaced, or
    /// recovered after a crash, or the reader fell too far behind. Then open the file again, and take a new copy of its
    /// data.
    public var changes: Changes { Changes(watcher: self) }

    /// The transactions and all other events; continues when the file is replaced. Can be iterated once, instead of
    /// ``changes``.
    public var events: Events { Events(watcher: self) }

    /// All events of a file. See ``FileWatcher/events``.
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

/// Puts events into a stream's buffer, and ends the stream when the buffer is full.
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

/// The fields of a file's first page that reveal a change.
struct FileState: Equatable {
    var header: DatabaseHeader
    /// Incremented with each commit, unless a process used the file exclusively for several.
    var changeCounter: UInt32
    var isWAL: Bool
    var pageCount: UInt32

    init(_ file: DatabaseFile) throws(SQLiteError) {
        self = try withUnsafeTemporaryAllocation(byteCount: DatabaseHeader.byteCount, alignment: 8) { buffer in
            Result { () throws(SQLiteError) in
                try file.read(into: buffer, at: 0)
                let bytes = UnsafeRawBufferPointer(buffer)
                // Nothing was ever written, or a running first commit has not written page 1 yet.
                guard bytes.contains(where: { $0 != 0 }) else { return .empty }
                return try Self(bytes, file)
            }
        }.get()
    }

    /// An empty file is a database without pages.
    private static let empty = FileState(header: .empty, changeCounter: 0, isWAL: false, pageCount: 0)

    private init(header: DatabaseHeader, changeCounter: UInt32, isWAL: Bool, pageCount: UInt32) {
        self.header = header
        self.changeCounter = changeCounter
        self.isWAL = isWAL
        self.pageCount = pageCount
    }

    /// Whether the pages of the two states cannot be compared.
    func isOfAnotherLayout(than other: FileState) -> Bool {
        header.pageSize != other.header.pageSize || header.usableSize != other.header.usableSize
            || header.encoding != other.header.encoding
    }

    private init(_ bytes: UnsafeRawBufferPointer, _ file: DatabaseFile) throws(SQLiteError) {
        do { header = try DatabaseHeader(bytes) } catch {
            throw SQLiteError(code: .notADatabase, message: "\(error)")
        }
        changeCounter = bytes.bigEndian32(at: 24)
        // The read version of the file format.
        isWAL = bytes[19] == 2
        let inFile = UInt32(clamping: try file.byteCount() / Int64(header.pageSize))
        // "The in-header database size is only considered to be valid if it is non-zero and when the 4-byte change counter
        // exactly matches the 4-byte version-valid-for number": sqlite.org/fileformat2.html
        let isValid = header.pageCount > 0 && bytes.bigEndian32(at: 92) == changeCounter
        pageCount = isValid ? min(header.pageCount, inFile) : inFile
    }
}
