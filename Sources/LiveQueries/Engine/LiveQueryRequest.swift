package import SQLiteConnection

/// A place in the order of commits: as in the table feed.
package struct LivePosition: Hashable, Sendable {
    package var epoch: String
    package var sequence: UInt64

    package init(epoch: String, sequence: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
    }
}

/// What a client may read. Queries with the same ``identity``, SQL and parameters are one.
package struct LiveRights: Sendable {
    package enum Verdict: Sendable {
        case allow
        /// The statement does not compile; the reason is for the client.
        case deny(String)
    }

    /// Names the rights: equal for clients that may read the same.
    package var identity: String
    /// Asked about every read and every function. Called on threads of the engine.
    package var authorize: @Sendable (borrowing AuthorizerRequest) -> Verdict

    /// The one answer to SQL that does not compile with these rights, so that none says what else the file holds: a table that
    /// is not allowed and one that does not exist look the same. Nil where everything may be known.
    package var concealment: String?

    package init(
        identity: String,
        concealment: String? = nil,
        authorize: @escaping @Sendable (borrowing AuthorizerRequest) -> Verdict
    ) {
        self.identity = identity
        self.concealment = concealment
        self.authorize = authorize
    }

    /// What is said of SQL that SQLite, or the authorizer, does not compile.
    func refusal(_ error: SQLiteError, _ refusal: LiveRefusal?) -> LiveRefusal {
        let found = refusal ?? LiveRefusal(error)
        // A mistake in the grammar is found before any name is looked up.
        let isGrammar = error.message.hasPrefix("near ") || error.message.hasPrefix("unrecognized token")
        guard let concealment, !isGrammar, error.message != "incomplete input" else { return found }
        return LiveRefusal(.notAuthorized, concealment)
    }

    /// Everything of the file.
    package static let all = LiveRights(identity: "") { _ in .allow }
}

/// A query that a client wants to follow.
package struct LiveQueryRequest: Sendable {
    package var sql: String
    package var parameters: LiveParameters
    /// Names of result columns that identify a row; nil for those that the tables' primary keys give.
    package var key: [String]?
    package var rights: LiveRights
    /// Where the client has the rows of already.
    package var since: LivePosition?

    package init(
        sql: String,
        parameters: LiveParameters = .none,
        key: [String]? = nil,
        rights: LiveRights = .all,
        since: LivePosition? = nil
    ) {
        self.sql = sql
        self.parameters = parameters
        self.key = key
        self.rights = rights
        self.since = since
    }
}

/// Why a query is not kept up to date, or no longer.
package struct LiveRefusal: Error, Hashable, Sendable {
    package enum Code: Hashable, Sendable {
        /// SQL that cannot be followed.
        case notLive
        case sqlError
        case notAuthorized
        /// A limit of ``LiveLimits``.
        case limit
        /// As many queries as there may be are followed already.
        case tooMany
        /// The database cannot be read now.
        case unavailable
    }

    package var code: Code
    package var reason: String
    /// Where in the SQL, in UTF-8 bytes.
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
