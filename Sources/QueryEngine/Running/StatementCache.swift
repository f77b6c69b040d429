import ChangeCapture
import SQLiteConnection

/// Compiled statements that a connection keeps for later queries with the same SQL: compiling one takes several times
/// as long as reading a row by its key.
///
/// The authorizer runs only while a statement is compiled, so a statement serves only queries of the same policy, and
/// only while the schema has the version for which it was compiled. Where SQLite compiles a statement again while it
/// runs, because the schema has changed at that moment, the statement is not kept.
///
/// Belongs to the connection's thread.
struct StatementCache {
    struct Key: Hashable {
        let sql: String
        let policy: SQLPolicy

        /// By bytes: SQLite distinguishes texts that Swift treats as equal.
        static func == (left: Key, right: Key) -> Bool {
            left.sql.isIdentical(to: right.sql) && left.policy == right.policy
        }

        func hash(into hasher: inout Hasher) {
            // Hashing a list of tables would take longer than comparing it.
            hasher.combine(sql)
            hasher.combine(policy.level)
        }
    }

    /// Longer texts, and statements with more memory, are compiled each time.
    private static let maxSQLBytes = 4 << 10
    private static let maxStatementBytes = 64 << 10
    /// The number of texts that are remembered after one use; a power of two.
    private static let seenCount = 256

    /// A statement that is kept, or that will be when it has run.
    final class Entry {
        fileprivate let key: Key
        let traits: StatementAuthorizer.Statement
        fileprivate let schemaVersion: Int64
        /// Nil while a query runs it, and after one that failed.
        fileprivate var statement: Statement?
        fileprivate var lastUse: UInt64 = 0

        fileprivate init(_ key: Key, _ traits: StatementAuthorizer.Statement, schemaVersion: Int64) {
            self.key = key
            self.traits = traits
            self.schemaVersion = schemaVersion
        }
    }

    private let capacity: Int
    private var entries: [Key: Entry] = [:]
    private var uses: UInt64 = 0
    /// The hash values of the last texts: a text that occurs once, such as one with literals, must not displace others.
    private var seen: [Int]

    /// - Parameter capacity: the maximum number of statements; 0 to keep none.
    init(capacity: Int) {
        self.capacity = capacity
        seen = Array(repeating: 0, count: capacity > 0 ? Self.seenCount : 0)
    }

    /// The entry with a statement for this version of the schema.
    func entry(for key: Key, schemaVersion: Int64) -> Entry? {
        guard let entry = entries[key], entry.schemaVersion == schemaVersion, entry.statement != nil else { return nil }
        return entry
    }

    /// Whether a statement is kept, whatever the version of the schema, and writes.
    func isKnownWrite(_ key: Key) -> Bool { entries[key]?.statement?.writes ?? false }

    /// Whether a statement should be kept when it has run: for a text that has been compiled before.
    mutating func admits(_ key: Key) -> Bool {
        guard capacity > 0, key.sql.utf8.count <= Self.maxSQLBytes else { return false }
        let hash = key.hashValue
        let place = hash & (Self.seenCount - 1)
        defer { seen[place] = hash }
        return seen[place] == hash
    }

    /// The entry of a statement that was compiled under this version of the schema, to be kept when it has run.
    func makeEntry(_ key: Key, _ traits: StatementAuthorizer.Statement, schemaVersion: Int64) -> Entry {
        Entry(key, traits, schemaVersion: schemaVersion)
    }

    /// The statement to run, ready for its parameters.
    func take(from entry: Entry) -> Statement? { entry.statement.take() }

    /// Keeps a statement that has run without an error; the least recently used one makes room for it.
    mutating func keep(_ statement: consuming Statement, in entry: Entry) {
        guard statement.status(.repreparations) == 0 else { return }
        statement.prepareForReuse()
        if entries[entry.key] !== entry {
            // Determined once, because it takes SQLite as long as finalizing the statement.
            guard statement.status(.memoryBytes) <= Self.maxStatementBytes else { return }
            if entries[entry.key] == nil, entries.count >= capacity,
                let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                entries[oldest.key] = nil
            }
            entries[entry.key] = entry
        }
        uses += 1
        entry.lastUse = uses
        entry.statement = consume statement
    }
}

extension StatementAuthorizer.Statement {
    /// Whether the statement does nothing but read or change rows. Others take effect while they are compiled, depend on
    /// the transaction, or leave state on the connection.
    var isReusable: Bool {
        !isPragma && transaction == nil && !declaresTable && !changesSchema && connectionState == nil
    }
}
