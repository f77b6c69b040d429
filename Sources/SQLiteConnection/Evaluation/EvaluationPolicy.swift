import CSQLite
import Synchronization

/// Makes a connection safe for evaluating expressions that a schema or a client defines: generated columns, expression
/// indexes, CHECK constraints, views, triggers, and the SQL of queries.
///
/// Every such connection of the process applies it right after opening: queries, snapshots, the watcher, the table
/// catalogue; those that only read are opened by `openReader(path:isURI:)`. Only the deadline differs between them: see
/// `Connection.withDeadline` and `Connection.setProgressHandler`.
///
/// Source: [Defense Against The Dark Arts](https://sqlite.org/security.html).
public struct EvaluationPolicy: Sendable, Hashable {
    /// Bytes of one string or blob, and of one row inside SQLite.
    public var maxValueBytes = 16 << 20
    /// Bytes of a pattern of `LIKE` or `GLOB`. One comparison takes about a nanosecond for each byte of the pattern and each
    /// byte of the text, and nothing can interrupt it.
    public var maxLikePatternBytes = 250
    /// Bytes of a value where an expression may use `LIKE` or `GLOB`: together with ``maxLikePatternBytes`` this keeps one
    /// comparison within about a second.
    public var maxPatternTextBytes = 4 << 20
    public var maxSQLBytes = 1_000_000
    public var maxColumns = 2_000
    public var maxExpressionDepth = 500
    public var maxCompoundSelects = 500
    public var maxVirtualMachineOperations = 10_000_000
    public var maxParameters = 32_766
    public var maxTriggerDepth = 100

    public init() {}

    /// Opens a database to read it, under this policy.
    ///
    /// For writing as far as the system is concerned: what a writer left behind that died in the midst of a commit is rolled
    /// back by whichever connection reads next, and one that is opened for reading alone fails instead
    /// ([Hot Rollback Journals](https://sqlite.org/lockingv3.html#hot_journals)). `query_only` keeps it from anything else.
    /// Where the process may not write the file, SQLite itself opens it for reading.
    ///
    /// Its temporary files count against the ``ResourceBudget`` of the thread.
    package func openReader(path: String, isURI: Bool = false) throws(SQLiteError) -> Connection {
        let connection = try Connection(path: path, mode: .readWrite, isURI: isURI, chargesTemporaryFiles: true)
        try apply(to: connection)
        try connection.execute("PRAGMA query_only = ON")
        return connection
    }

    /// Whether an expression of this SQL may use `LIKE` or `GLOB`: where one of the words stands in it, be it in a name or a
    /// text.
    package static func comparesPatterns(_ sql: String) -> Bool {
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...: true
            default: false
            }
        }
        return sql.utf8.split(whereSeparator: { !isWord($0) }).contains { word in
            word.count == 4 && ["like", "glob"].contains(Substring(word).lowercased())
        }
    }

    /// Bounds the values that the connection handles, where `schema` is the SQL of what is evaluated next.
    package func boundValues(of connection: Connection, schema: some Sequence<String>) {
        let comparesPatterns = schema.contains { Self.comparesPatterns($0) }
        connection.setLimit(.valueBytes, comparesPatterns ? min(maxValueBytes, maxPatternTextBytes) : maxValueBytes)
    }

    package func apply(to connection: Connection) throws(SQLiteError) {
        try connection.configure(.defensive, true)
        try connection.configure(.trustedSchema, !Library.hasInnocuousTextSearch)
        try connection.configure(.loadExtension, false)
        try connection.configure(.fts3Tokenizer, false)
        connection.setLimit(.valueBytes, maxValueBytes)
        connection.setLimit(.likePatternBytes, maxLikePatternBytes)
        connection.setLimit(.sqlBytes, maxSQLBytes)
        connection.setLimit(.columns, maxColumns)
        connection.setLimit(.expressionDepth, maxExpressionDepth)
        connection.setLimit(.compoundSelects, maxCompoundSelects)
        connection.setLimit(.virtualMachineOperations, maxVirtualMachineOperations)
        connection.setLimit(.parameterNumber, maxParameters)
        connection.setLimit(.triggerDepth, maxTriggerDepth)
        connection.setLimit(.workerThreads, 0)
        // VACUUM attaches its scratch file.
        connection.setLimit(.attachedDatabases, 1)
        try connection.replaceQuadraticFunctions()
        try connection.replaceTextSearchFunctions()
        _ = TextSearchModules.areBounded
    }
}

extension Library {
    /// Whether a view of an untrusted schema may use FTS5 and `->>`; determined by trying.
    ///
    /// SQLite 3.40 counts FTS5 and the JSON functions among the unsafe: with `trusted_schema` off, the usual triggers that
    /// keep a full-text index fail, and so does every table with a JSON function in a generated column or an index. On
    /// such versions the flag stays on, and only an authorizer stands between a schema and a function with side
    /// effects.
    ///
    /// Source: [PRAGMA trusted_schema](https://sqlite.org/pragma.html#pragma_trusted_schema).
    static let hasInnocuousTextSearch: Bool = {
        do {
            let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
            try connection.configure(.trustedSchema, false)
            try connection.execute(
                """
                CREATE VIRTUAL TABLE f USING fts5 (x);
                CREATE VIEW v AS SELECT x, '{}' ->> '$.x' FROM f;
                SELECT * FROM v;
                """
            )
            return true
        } catch {
            return false
        }
    }()
}

extension Connection {
    /// Steps of the virtual machine between two checks of the clock: some ten microseconds.
    private static let stepsPerLook = 1_000

    /// Runs `body`, whose statements fail with `SQLITE_INTERRUPT` once `limit` has passed, and when they need more memory or
    /// temporary files than ``ResourceBudget/Limits/evaluation``. Replaces the progress handler, and on a thread without a
    /// query its budget.
    ///
    /// The deadline also holds within a single call of a function, as far as ``EvaluationPolicy`` covers it: the
    /// functions that it replaces check the clock themselves, and its limits bound the others.
    package func withDeadline<R, E>(_ limit: Duration, _ body: () throws(E) -> R) throws(E) -> R {
        let end = ContinuousClock.now + limit
        setProgressHandler(everySteps: Self.stepsPerLook) { ContinuousClock.now < end ? .proceed : .interrupt }
        defer { setProgressHandler(everySteps: 0, nil) }
        return try ResourceBudget.ofThisThread().bounding(.evaluation, body)
    }
}

/// Interrupts the running statements of a connection, from any thread, at any time.
///
/// `sqlite3_interrupt` must not race with `sqlite3_close`: the handle's own lock is held during both, so a cancel never
/// waits for a query and never touches a closed connection.
///
/// Source: [sqlite3_interrupt](https://sqlite.org/c3ref/interrupt.html).
package final class InterruptHandle: Sendable {
    // The pointer is only ever passed to sqlite3_interrupt, which is safe from other threads, and only under the lock
    // that clears it before the connection closes. Stored as an address because a pointer is not Sendable.
    private let address: Mutex<UInt>

    init(_ handle: OpaquePointer) {
        address = Mutex(UInt(bitPattern: handle))
    }

    /// Makes every statement that currently runs on the connection return `SQLITE_INTERRUPT`.
    ///
    /// A statement that starts while others still run is interrupted too; without a running statement the call does
    /// nothing.
    package func interrupt() {
        address.withLock { address in
            if let handle = OpaquePointer(bitPattern: address) { sqlite3_interrupt(handle) }
        }
    }

    /// Runs the closing of the connection; afterwards ``interrupt()`` does nothing.
    func invalidate(closing close: () -> Void) {
        address.withLock { address in
            close()
            address = 0
        }
    }
}
