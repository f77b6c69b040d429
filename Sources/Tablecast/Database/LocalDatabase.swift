import QueryEngine
import SQLiteConnection
import Synchronization
package import WireProtocol

/// Runs queries on a database file without a server, for its owner: with progress, cancellation and the messages of the
/// protocol.
///
/// Nothing is published. A service that watches the file reports the changes as those of another process. Thread-safe;
/// end it with ``shutDown()``.
package final class LocalDatabase: Sendable {
    private let queries: QueryService
    private let name: String
    private let policy: SQLPolicy
    private let client = ClientKey("local")

    /// - Throws: ``DatabaseFileError`` for a file that cannot be opened, `SQLiteError` for any other error of SQLite.
    package init(path: String) throws {
        try Library.requireUsable()
        let file = DatabasePath(path)
        guard try file.inspect(writable: false) != .missing else { throw DatabaseFileError.notFound(path: path) }
        let isWritable = (try? file.inspect(writable: true)) != nil
        policy = isWritable ? .admin : .readOnly
        name = file.name
        var configuration = ServiceConfiguration(path: path)
        // One query at a time, without a time limit.
        configuration.limits.readerCount = 1
        configuration.limits.spareReaderCount = 0
        configuration.limits.maxStatementTime = .seconds(86_400)
        configuration.limits.statementTime = configuration.limits.maxStatementTime
        configuration.limits.maxPause = configuration.limits.maxStatementTime
        configuration.limits.maxWriterPause = configuration.limits.maxStatementTime
        configuration.limits.maxSnapshotTime = configuration.limits.maxStatementTime
        queries = try QueryService(configuration)
    }

    /// Runs one query; its messages go to `output`. A transaction that it leaves open is rolled back, and the query
    /// fails.
    package func run(_ query: QueryRequest, replyTo: String?, output: any QueryOutput) -> RunningQuery {
        let request = SQLRequest(
            queryId: query.queryID ?? MessageID.next(),
            sql: query.sql,
            parameters: QueryParameters(query.parameters),
            maxRows: query.maxRows,
            timeout: query.timeout,
            progressInterval: query.progressInterval,
            atomic: query.isAtomic,
            allowsOpenTransaction: false,
            policy: policy
        )
        let events = QueryEvents(
            queryID: request.queryId,
            sql: request.sql,
            userID: "",
            username: nil,
            database: name,
            requestID: replyTo,
            publish: { _ in }
        )
        let sink = QueryMessages(events, rowFormat: query.rowFormat, output: output)
        return RunningQuery(handle: queries.submit(request, for: client, sink: sink))
    }

    package func cancel(queryID: String) { queries.cancel(queryID, by: .administrator) }

    /// Cancels the running query, and closes the file.
    package func shutDown() async { await queries.shutDown() }
}

extension LocalDatabase {
    /// The JSON of `GET /tables` for a file.
    package static func tables(path: String) throws -> [UInt8] {
        try inspect(path)
        return try TableCatalog(path: path).list { _ in true }
    }

    /// The JSON of `GET /tables/{name}` for a file; nil when there is no such table.
    package static func describe(_ name: String, path: String) throws -> [UInt8]? {
        try inspect(path)
        return try TableCatalog(path: path).describe(name)
    }

    private static func inspect(_ path: String) throws {
        guard try DatabasePath(path).inspect(writable: false) != .missing else {
            throw DatabaseFileError.notFound(path: path)
        }
    }
}
