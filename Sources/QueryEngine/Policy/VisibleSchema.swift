import SQLiteConnection

/// The schema that a policy with a list of tables exposes: a database with only those tables.
///
/// SQLite's error messages reveal the schema: tables and columns, what a view or a trigger reads, what a foreign key
/// refers to. A client with a list of tables gets the errors of this database instead, so that no message, and no
/// difference between two messages, depends on anything outside of its list.
///
/// Belongs to the thread of the connection whose schema it shows.
final class VisibleSchema {
    private let subset: SchemaSubset
    private let authorizer = StatementAuthorizer()

    /// - Parameter original: reads its own schema during the call, without an authorizer.
    init(of original: Connection, readable: TableNames) throws(SQLiteError) {
        subset = try SchemaSubset(of: original, where: readable.contains)
        subset.connection.setAuthorizer { [authorizer] request in authorizer.authorize(request) }
    }

    /// The error of a statement for a client that knows only these tables; nil when there is none.
    ///
    /// - Parameters:
    ///   - sql: begins with the statement.
    ///   - isInTransaction: whether it would run within one.
    func problem(with sql: String, _ policy: SQLPolicy, isInTransaction: Bool) throws(SQLiteError) -> QueryFailure? {
        authorizer.begin(policy, access: .writer)
        authorizer.isInTransaction = isInTransaction
        defer { authorizer.end() }
        var script = Script(sql)
        do {
            guard let statement = try script.next(on: subset.connection) else { return nil }
            try authorizer.check(statement)
            return nil
        } catch let error as SQLiteError {
            return failure(error)
        } catch let failure as QueryFailure {
            return failure
        } catch {
            return QueryFailure(.internal, "\(error)")
        }
    }

    private func failure(_ error: SQLiteError) -> QueryFailure {
        var failure = QueryFailure(error)
        if let denial = authorizer.denial {
            failure.code = denial.code
            failure.message = "\(denial.reason) (\(error.message))"
        } else if let name = error.message.split(separator: "no such table: ", maxSplits: 1).last,
            error.message.hasPrefix("no such table: ")
        {
            failure.code = .notAuthorized
            failure.message = "no table \(name) is among the allowed ones (\(error.message))"
        }
        return failure
    }
}

extension QueryFailure {
    /// A statement that is correct as far as the client can know, and that accesses other tables.
    static let reachesOtherTables = QueryFailure(
        .notAuthorized,
        "the statement reaches a table that is not allowed, through a view, a trigger, a foreign key or a virtual table"
    )
}
