import ChangeCapture
import LiveQueries
import QueryEngine
import SQLiteConnection

/// The settings of queries, live queries and the capture of changes, by the part that enforces them.
extension LimitSetting {
    static let query: [LimitSetting] = [
        .count("query.readerCount", \.query.readerCount, "concurrent reads; others wait", in: 1...64),
        .count(
            "query.spareReaderCount",
            \.query.spareReaderCount,
            "additional readers while as many receivers take no rows",
            in: 0...64
        ),
        .count(
            "query.maxQueries",
            \.query.maxQueries,
            "queued and running queries; one identity can have at most as many as there are free places: `TOO_MANY_QUERIES`"
        ),
        .count("query.maxQueriesPerClient", \.query.maxQueriesPerClient, "the same for one client"),
        .duration(
            "query.statementTime",
            \.query.statementTime,
            "a query without its own timeout: `query:cancelled`, `timeout`"
        ),
        .duration(
            "query.maxStatementTime",
            \.query.maxStatementTime,
            "the maximum timeout of a query; longer ones are reduced to it"
        ),
        .duration(
            "query.maxTimePerSecondOfIdentity",
            \.query.maxTimePerSecondOfIdentity,
            "average time on the query threads that the queries of one identity, without tokens of one address, take in a second: `RATE_LIMITED`, over HTTP 429 with `Retry-After`"
        ),
        .duration(
            "query.maxTimeBurstOfIdentity",
            \.query.maxTimeBurstOfIdentity,
            "the time that they take at once after a pause: likewise"
        ),
        .duration(
            "query.busyTimeout",
            \.query.busyTimeout,
            "a wait for a lock or transaction of another client or process: `BUSY`"
        ),
        .duration(
            "query.transactionIdleTimeout",
            \.query.transactionIdleTimeout,
            "an open transaction without a request: rolled back, `TRANSACTION_TIMED_OUT`"
        ),
        .duration(
            "query.maxTransactionTime",
            \.query.maxTransactionTime,
            "a transaction in total; a running statement ends first: rolled back, `TRANSACTION_TIMED_OUT`"
        ),
        .duration(
            "query.progressInterval",
            \.query.progressInterval,
            "between two progress messages of a query that requests no interval"
        ),
        .duration(
            "query.minProgressInterval",
            \.query.minProgressInterval,
            "the shortest interval that a query can request"
        ),
        .duration("query.maxPause", \.query.maxPause, "a read whose receiver takes no rows: `INTERRUPTED`"),
        .duration(
            "query.maxWriterPause",
            \.query.maxWriterPause,
            "a write whose receiver takes no rows: `INTERRUPTED`"
        ),
        .duration(
            "query.maxSnapshotTime",
            \.query.maxSnapshotTime,
            "a read that had to pause, as a whole: `INTERRUPTED`"
        ),
        .count("query.maxRows", \.query.maxRows, "rows of a query: the rest is left out, `truncated`", in: 1...Int.max),
        .bytes(
            "query.maxResultBytes",
            \.query.maxResultBytes,
            "bytes of a query's rows: the rest is left out, `truncated`",
            in: 1...Int.max
        ),
        .bytes("query.maxRowBytes", \.query.maxRowBytes, "row of a result: `TOO_BIG`"),
        .bytes(
            "query.maxMemoryBytes",
            \.query.maxMemoryBytes,
            "memory of one query: that query fails with `TOO_BIG`, others continue",
            in: 1 << 20...1 << 40
        ),
        .bytes(
            "query.maxTotalMemoryBytes",
            \.query.maxTotalMemoryBytes,
            "memory of SQLite in the whole process: the statement fails; 0 for no limit",
            in: 0...1 << 40
        ),
        .bytes("query.maxTemporaryBytes", \.query.maxTemporaryBytes, "temporary files of one query: `TOO_BIG`"),
        .bytes(
            "query.maxTotalTemporaryBytes",
            \.query.maxTotalTemporaryBytes,
            "temporary files of all queries: `TOO_BIG`"
        ),
        .bytes(
            "query.cacheBytes",
            \.query.cacheBytes,
            "pages that a connection caches; a larger sort uses a temporary file"
        ),
        .count(
            "query.maxCachedStatements",
            \.query.maxCachedStatements,
            "compiled statements that a connection keeps; 0 for none",
            in: 0...10_000
        ),
        .bytes(
            "query.maxChangedPageBytes",
            \.query.maxChangedPageBytes,
            "changed pages of a transaction: some are written to the log before the commit"
        ),
        .count("query.batchRows", \.query.batchRows, "rows in one `query:rows`"),
        .bytes("query.batchBytes", \.query.batchBytes, "bytes in one `query:rows`; its last row can exceed them"),
        .duration("query.batchTime", \.query.batchTime, "rows that wait in a batch that is not full: sent"),
    ]

    static let evaluation: [LimitSetting] = [
        .bytes(
            "query.evaluation.maxValueBytes",
            \.query.evaluation.maxValueBytes,
            "a string, blob or row inside SQLite: `TOO_BIG`",
            in: 1_000...1 << 30
        ),
        .bytes(
            "query.evaluation.maxLikePatternBytes",
            \.query.evaluation.maxLikePatternBytes,
            "pattern of LIKE or GLOB: `SQL_ERROR`"
        ),
        .bytes(
            "query.evaluation.maxPatternTextBytes",
            \.query.evaluation.maxPatternTextBytes,
            "value in a statement with LIKE or GLOB, and in a database whose tables or indexes use them: `TOO_BIG`",
            in: 1_000...1 << 30
        ),
        .bytes("query.evaluation.maxSQLBytes", \.query.evaluation.maxSQLBytes, "SQL of a query: `TOO_BIG`"),
        .count(
            "query.evaluation.maxColumns",
            \.query.evaluation.maxColumns,
            "columns of a result, a table or an index: `SQL_ERROR`",
            in: 1...2_000
        ),
        .count(
            "query.evaluation.maxExpressionDepth",
            \.query.evaluation.maxExpressionDepth,
            "depth of an expression: `SQL_ERROR`",
            in: 1...1_000
        ),
        .count(
            "query.evaluation.maxCompoundSelects",
            \.query.evaluation.maxCompoundSelects,
            "terms of a compound SELECT: `SQL_ERROR`",
            in: 1...500
        ),
        .count(
            "query.evaluation.maxVirtualMachineOperations",
            \.query.evaluation.maxVirtualMachineOperations,
            "instructions of a compiled statement: it fails"
        ),
        .count(
            "query.evaluation.maxParameters",
            \.query.evaluation.maxParameters,
            "number of the highest parameter of a statement: `SQL_ERROR`",
            in: 1...32_766
        ),
        .count(
            "query.evaluation.maxTriggerDepth",
            \.query.evaluation.maxTriggerDepth,
            "depth of triggers that run triggers: `SQL_ERROR`",
            in: 1...1_000
        ),
    ]

    static let textSearch: [LimitSetting] = [
        .bytes(
            "query.textSearch.maxMatchBytes",
            \.query.textSearch.maxMatchBytes,
            "right side of `MATCH`: `TOO_BIG`"
        ),
        .count(
            "query.textSearch.maxNearPhrases",
            \.query.textSearch.maxNearPhrases,
            "phrases of one `NEAR`: `SQL_ERROR`"
        ),
        .bytes(
            "query.textSearch.maxFTS5PositionBytes",
            \.query.textSearch.maxFTS5PositionBytes,
            "positions of a search's terms in memory, with FTS5 those of one row; with `NEAR` of more than two phrases proportionally fewer: `TOO_BIG`"
        ),
        .bytes(
            "query.textSearch.maxFTS3PositionBytes",
            \.query.textSearch.maxFTS3PositionBytes,
            "the same with FTS3 and FTS4, which can load those of all rows: `TOO_BIG`"
        ),
        .bytes(
            "query.textSearch.maxFunctionBytes",
            \.query.textSearch.maxFunctionBytes,
            "memory of one call of `snippet`, `offsets` or `matchinfo` of FTS3 and FTS4: `TOO_BIG`"
        ),
        .count(
            "query.textSearch.maxFunctionSteps",
            \.query.textSearch.maxFunctionSteps,
            "matches times terms of one such call, times up to 320 for `snippet`: `SQL_ERROR`"
        ),
        .count(
            "query.textSearch.maxMatchinfoLetters",
            \.query.textSearch.maxMatchinfoLetters,
            "letters in the second argument of `matchinfo`: `SQL_ERROR`"
        ),
    ]

    static let live: [LimitSetting] = [
        .count("live.maxQueries", \.live.maxQueries, "distinct live queries: `TOO_MANY_QUERIES`"),
        .count(
            "live.maxQueriesPerClient",
            \.live.maxQueriesPerClient,
            "live queries of one connection: `TOO_MANY_QUERIES`"
        ),
        .count("live.maxRows", \.live.maxRows, "rows of a result: refused, or ended"),
        .bytes("live.maxResultBytes", \.live.maxResultBytes, "bytes of a result: refused, or ended"),
        .bytes("live.maxSQLBytes", \.live.maxSQLBytes, "SQL of a live query: refused"),
        .count("live.maxParameters", \.live.maxParameters, "parameters of a live query: refused"),
        .duration("live.maxRunTime", \.live.maxRunTime, "a whole run of a query: refused, or ended"),
        .duration(
            "live.maxStepTime",
            \.live.maxStepTime,
            "evaluation of one commit by its changed rows: the query runs as a whole from then on"
        ),
        .count("live.maxChangedKeys", \.live.maxChangedKeys, "rows examined for one commit: the query runs as a whole"),
        .count(
            "live.maxPendingTransactions",
            \.live.maxPendingTransactions,
            "commits not evaluated yet: all queries start again with a snapshot"
        ),
        .count("live.maxPendingRows", \.live.maxPendingRows, "rows of these commits: the same"),
        .count(
            "live.coalesceFromTransactions",
            \.live.coalesceFromTransactions,
            "commits not evaluated yet: several are evaluated as one"
        ),
        .duration(
            "live.minRunInterval",
            \.live.minRunInterval,
            "between two whole runs of a query, which is at least as long as the last run took"
        ),
        .duration(
            "live.maxPinTime",
            \.live.maxPinTime,
            "the log cannot start at its beginning: queries that are not evaluated yet start again with a snapshot"
        ),
        .count("live.maxPinnedFrames", \.live.maxPinnedFrames, "the same limit in frames of the log"),
        .count(
            "live.eagerPinFrames",
            \.live.eagerPinFrames,
            "frames of the log: the evaluation follows every commit at once"
        ),
        .duration("live.pinInterval", \.live.pinInterval, "between two advances of the log's pin while commits arrive"),
        .count(
            "live.maxLogDeltas",
            \.live.maxLogDeltas,
            "changes of a query kept for clients that reconnect: the client gets a snapshot"
        ),
        .bytes("live.maxLogBytes", \.live.maxLogBytes, "bytes of these changes: the same"),
        .duration("live.lingerTime", \.live.lingerTime, "a query without subscribers: it is released"),
        .duration(
            "live.reachedInterval",
            \.live.reachedInterval,
            "between two notifications that all queries are exact as of a position"
        ),
    ]

    static let capture: [LimitSetting] = [
        .duration(
            "capture.eagerPollInterval",
            \.capture.eagerPollInterval,
            "between two checks of the log right after a file event"
        ),
        .duration("capture.eagerPollDuration", \.capture.eagerPollDuration, "how long that interval applies"),
        .duration("capture.relaxedPollInterval", \.capture.relaxedPollInterval, "between two checks afterwards"),
        .duration("capture.relaxedPollDuration", \.capture.relaxedPollDuration, "how long that interval applies"),
        .duration(
            "capture.afterCapturePollInterval",
            \.capture.afterCapturePollInterval,
            "between two checks after a commit"
        ),
        .duration(
            "capture.idlePollInterval",
            \.capture.idlePollInterval,
            "between two checks without activity: the maximum delay of a change when no file event arrives"
        ),
        .bytes("capture.maxPageCacheBytes", \.capture.maxPageCacheBytes, "pages kept from one commit to the next"),
        .duration(
            "capture.maxVirtualColumnTime",
            \.capture.maxVirtualColumnTime,
            "generated columns of one table in one commit of another process, for each side of it: omitted, `columnsOmitted`"
        ),
        .count(
            "capture.virtualColumnPauseFactor",
            \.capture.virtualColumnPauseFactor,
            "how many times their duration such columns are then omitted without a try"
        ),
        .count(
            "capture.checkpointFrameCount",
            \.capture.checkpointFrameCount,
            "frames of the log from which the watcher copies it into the file"
        ),
        .duration("capture.checkpointInterval", \.capture.checkpointInterval, "between two such checkpoints"),
        .optionalCount(
            "capture.forcedRestartFrameCount",
            \.capture.forcedRestartFrameCount,
            "frames of the log from which the watcher takes the write lock for some milliseconds, so that the log can start at its beginning; none to disable it"
        ),
        .count(
            "capture.pacedRestartFrameCount",
            \.capture.pacedRestartFrameCount,
            "the same for fewer than 2,000 commits a second, which leave pauses in which the log restarts"
        ),
        .duration(
            "capture.forcedRestartInterval",
            \.capture.forcedRestartInterval,
            "between two successful forced restarts"
        ),
        .duration(
            "capture.forcedRestartLockWait",
            \.capture.forcedRestartLockWait,
            "how long a forced restart tries to get the write lock"
        ),
        .duration(
            "capture.forcedRestartRetryInterval",
            \.capture.forcedRestartRetryInterval,
            "the wait after a failed forced restart"
        ),
        .duration(
            "capture.forcedRestartMaxCatchUp",
            \.capture.forcedRestartMaxCatchUp,
            "how long it holds the write lock at a time to decode what is committed already; a writer commits in between"
        ),
        .duration(
            "capture.forcedRestartMaxHold",
            \.capture.forcedRestartMaxHold,
            "how long a forced restart holds the write lock while another process's checkpoint is in the way"
        ),
        .duration(
            "capture.forcedRestartViewWait",
            \.capture.forcedRestartViewWait,
            "how long it holds the lock until live queries are evaluated"
        ),
        .duration(
            "capture.stallPatience",
            \.capture.stallPatience,
            "a checkpoint of another process without progress: the watcher steps aside"
        ),
        .duration("capture.stallMaxAside", \.capture.stallMaxAside, "how long it stays aside"),
        .duration(
            "capture.stallProbeInterval",
            \.capture.stallProbeInterval,
            "between two checks for a waiting checkpoint"
        ),
        .duration(
            "capture.busyTimeout",
            \.capture.busyTimeout,
            "a lock that another connection holds: the file counts as used exclusively"
        ),
        .duration(
            "capture.tornHeaderPatience",
            \.capture.tornHeaderPatience,
            "how long copies of the log index's header may differ before SQLite recovers it"
        ),
        .duration(
            "capture.localCommitPatience",
            \.capture.localCommitPatience,
            "how long the watcher waits for a running commit of the service itself"
        ),
        .duration(
            "capture.identityInterval",
            \.capture.identityInterval,
            "between two checks that the log is in its place"
        ),
        .duration(
            "capture.overwritePatience",
            \.capture.overwritePatience,
            "a program that overwrites the file: the watcher opens it again anyway"
        ),
        .duration(
            "capture.overwritePollInterval",
            \.capture.overwritePollInterval,
            "between two checks whether it has finished"
        ),
        .duration(
            "capture.reopenInterval",
            \.capture.reopenInterval,
            "between two tries while the file is missing or used exclusively"
        ),
        .duration(
            "capture.restartPreparation",
            \.capture.restartPreparation,
            "how long a service that stops copies the log into the database file, for a later one to continue",
            in: .zero ... .seconds(10)
        ),
        .bytes(
            "capture.maxShadowBytes",
            \.capture.maxShadowBytes,
            "a database in a rollback-journal mode up to this size is compared row by row with a private copy; of a larger one only the tables are reported"
        ),
    ]

    static let transaction: [LimitSetting] = [
        .count(
            "capture.transaction.maxRows",
            \.capture.transaction.maxRows,
            "rows of a transaction: only counts are published"
        ),
        .bytes(
            "capture.transaction.maxValueBytes",
            \.capture.transaction.maxValueBytes,
            "values of a transaction: only keys are published"
        ),
        .bytes(
            "capture.transaction.maxKeySetBytes",
            \.capture.transaction.maxKeySetBytes,
            "sets of keys by which the counts of a larger transaction are made exact"
        ),
    ]

    static let state: [LimitSetting] = [
        .bytes(
            "state.maxBytes",
            \.state.maxBytes,
            "transactions on disk: the oldest are removed, `recovered: false`",
            in: 1 << 20...1 << 40
        ),
        .duration("state.maxAge", \.state.maxAge, "the same"),
    ]

    static let snapshot: [LimitSetting] = [
        .count(
            "snapshot.maxConcurrent",
            \.snapshot.maxConcurrent,
            "snapshots that are sent at the same time: `TOO_MANY_QUERIES`"
        ),
        .duration("snapshot.maxDuration", \.snapshot.maxDuration, "a snapshot: `TOO_BIG`"),
        .bytes("snapshot.maxRowBytes", \.snapshot.maxRowBytes, "row of a snapshot: `TOO_BIG`"),
        .duration(
            "snapshot.maxMessageTime",
            \.snapshot.maxMessageTime,
            "rows of one message: the table is reported as unreadable"
        ),
    ]
}
