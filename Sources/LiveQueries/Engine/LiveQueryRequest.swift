package import SQLiteConnection

/// A position in the order of commits, as in the table feed.
package struct LivePosition: Hashable, Sendable {
    package var epoch: String
    package var sequence: UInt64

    package init(epoch: String, sequence: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
    }
}

/// The read access of a client. Queries with the same ``identity``, SQL and parameters are shared.
package struct LiveRights: Sendable {
    /// Identifies the rights, ``rules`` included: the same bytes for clients with the same access.
    package var identity: String
    /// The rows of tables that may be read. A query under rules runs as a whole, on views in the places of the tables.
    package var rules: SQLRowRules?
    /// Whether a table or view may be read. Called on the engine's threads, also with names that do not exist.
    package var mayRead: @Sendable (_ table: String) -> Bool

    /// The answer to all SQL that does not compile with these rights: a table that is not allowed and one that does not exist
    /// look the same. Nil if the client may see the whole schema.
    package var concealment: String?

    package init(
        identity: String,
        rules: SQLRowRules? = nil,
        concealment: String? = nil,
        mayRead: @escaping @Sendable (_ table: String) -> Bool
    ) {
        self.identity = identity
        self.rules = rules
        self.concealment = concealment
        self.mayRead = mayRead
    }

    /// The refusal of SQL that SQLite or the authorizer does not compile.
    func refusal(_ error: SQLiteError, _ refusal: LiveRefusal?) -> LiveRefusal {
        let found = refusal ?? LiveRefusal(error)
        // The parser finds syntax errors before any name is resolved.
        let isGrammar = error.message.hasPrefix("near ") || error.message.hasPrefix("unrecognized token")
        guard let concealment, !isGrammar, error.message != "incomplete input" else { return found }
        return LiveRefusal(.notAuthorized, concealment)
    }

    /// Access to everything in the file.
    package static let all = LiveRights(identity: "") { _ in true }
}

/// A client's request for a live query.
package struct LiveQueryRequest: Sendable {
    package var sql: String
    package var parameters: LiveParameters
    /// Names of result columns that identify a row; nil to use the tables' primary keys.
    package var key: [String]?
    package var rights: LiveRights
    /// The position up to which the client already has the rows.
    package var since: LivePosition?
    /// The query that sent the client these rows, if the client named it.
    package var resumes: String?

    package init(
        sql: String,
        parameters: LiveParameters = .none,
        key: [String]? = nil,
        rights: LiveRights = .all,
        since: LivePosition? = nil,
        resumes: String? = nil
    ) {
        self.sql = sql
        self.parameters = parameters
        self.key = key
        self.rights = rights
        self.since = since
        self.resumes = resumes
    }
}

/// Why a query is not live, or no longer live.
package struct LiveRefusal: Error, Hashable, Sendable {
    package enum Code: Hashable, Sendable {
        /// The SQL cannot be kept live.
        case notLive
        case sqlError
        case notAuthorized
        /// A limit of ``LiveLimits``.
        case limit
        /// The maximum number of queries is reached.
        case tooMany
        /// The database cannot be read now.
        case unavailable
    }

    package var code: Code
    package var reason: String
    /// The position in the SQL, in UTF-8 bytes.
    package var offset: Int?

    package init(_ code: Code, _ reason: String, offset: Int? = nil) {
        self.code = code
        self.reason = reason
        self.offset = offset
    }

    init(_ error: SQLiteError) {
        self.init(.sqlError, error.message, offset: error.offset)
        if error.code.primary == .auth { code = .notAuthorized }
    }
}
