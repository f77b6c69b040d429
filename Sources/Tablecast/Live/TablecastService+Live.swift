package import Broadcast
import ChangeCapture
package import LiveQueries
import QueryEngine
public import SQLiteConnection
import Synchronization
public import WireProtocol

extension TablecastService {
    /// Starts a live query for a client, which receives its events as messages.
    package func subscribe(
        _ request: WireProtocol.LiveQueryRequest,
        replyTo: String?,
        for client: ConnectedClient
    ) throws(ProtocolError) {
        _ = try follow(
            request,
            .client(client.id, replyTo: replyTo),
            identity: client.identity,
            owner: client.id.owner
        )
    }

    /// Starts a live query for a connection that ends with it.
    ///
    /// - Parameter whenStarted: called once, on a thread of the service, with nil or with the reason for a refusal.
    package func subscribe(
        _ request: WireProtocol.LiveQueryRequest,
        for client: LiveClient,
        whenStarted: @escaping @Sendable (ProtocolError?) -> Void
    ) throws(ProtocolError) {
        _ = try follow(
            request,
            .client(client.id, replyTo: nil),
            identity: client.identity,
            owner: client.id.owner,
            closesAtEnd: true,
            whenStarted: whenStarted
        )
    }

    func follow(
        _ request: WireProtocol.LiveQueryRequest,
        _ receiver: LiveFeed.Receiver,
        identity: Identity,
        owner: UInt64,
        closesAtEnd: Bool = false,
        whenStarted: (@Sendable (ProtocolError?) -> Void)? = nil
    ) throws(ProtocolError) -> LiveSubscriberID {
        try startLiveQueries()
        let request = LiveQueries.LiveQueryRequest(
            sql: request.sql,
            parameters: LiveParameters(request.parameters),
            key: request.key,
            rights: identity.liveRights,
            since: request.since.map { LivePosition($0) },
            resumes: request.resumes
        )
        return try live.subscribe(
            request,
            receiver,
            owner: owner,
            closesAtEnd: closesAtEnd,
            whenStarted: whenStarted
        )
    }

    /// The client has no live queries any more.
    package func leftQueries(_ client: LiveClient) { live.left(client.id) }

    /// The statistics of live queries; nil until the first one.
    package var liveStatistics: LiveQueryStatistics? { feed.liveQueries?.statistics }

    /// What each live query costs, and how far it is.
    package func liveFigures() async -> [LiveQueryFigures] { await feed.liveQueries?.figures() ?? [] }
}

extension ClientID {
    /// The unit of the limit of queries: one connection.
    fileprivate var owner: UInt64 { number }
}

extension Identity {
    /// The read access of its live queries: the same as for its other queries.
    var liveRights: LiveRights {
        guard let tables else { return .all }
        let names = TableNames(tables)
        var writer = JSONWriter()
        writer.beginArray()
        for name in tables.map({ SQLName($0).caseFolded.string }).sorted() { writer.string(name) }
        for rule in rules.tableRules { rule.write(to: &writer) }
        writer.endArray()
        let concealment = "the query needs a table, column or function that is not among what this token may read"
        return LiveRights(
            identity: String(decoding: writer.bytes, as: UTF8.self),
            rules: rules.isEmpty ? nil : rules.sqlRules,
            concealment: concealment,
            mayRead: { names.contains($0) }
        )
    }
}

// MARK: - In process

/// What ``TablecastService/live(_:_:key:as:maxBufferedUpdates:)`` yields.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum LiveQueryUpdate: Sendable {
    /// All rows as of a position: the first update, and again when earlier updates are no longer valid.
    case rows(columns: [String], rows: [[SQLiteValue]], position: Position)
    /// The changes of commits, up to a position.
    case changes([LiveQueryChange], position: Position)
}

/// A changed row of a result.
public struct LiveQueryChange: Sendable, Hashable {
    /// Nil for an inserted row.
    public let before: [SQLiteValue]?
    /// Nil for a deleted row.
    public let after: [SQLiteValue]?
    /// In an ordered result: the row's index before all changes of the update.
    public let oldIndex: Int?
    /// In an ordered result: the row's index after all changes of the update.
    public let index: Int?
}

extension TablecastService {
    /// Keeps a SELECT live for the application: yields its rows, and then the changes of every commit, whichever
    /// process commits.
    ///
    /// ```swift
    /// for try await update in service.live("SELECT name FROM genre ORDER BY name") {
    ///     if case .changes(let changes, let position) = update { print(position, changes.count) }
    /// }
    /// ```
    ///
    /// The query ends with the iteration, or when its task is cancelled.
    ///
    /// - Parameters:
    ///   - sql: one statement that SQLite can compile and that does not depend on the time or on randomness.
    ///   - parameters: for `?`, in order.
    ///   - key: columns that identify a row; nil to use the tables' primary keys.
    ///   - identity: the identity whose rights apply.
    ///   - maxBufferedUpdates: how many updates may wait for the iteration.
    /// - Returns: a sequence that throws ``QueryError`` when the query cannot be live, or no longer, and when the reader falls
    ///   behind by more than `maxBufferedUpdates`.
    public func live(
        _ sql: String,
        _ parameters: [SQLiteValue] = [],
        key: [String]? = nil,
        as identity: Identity = .application,
        maxBufferedUpdates: Int = 10_000
    ) -> AsyncThrowingStream<LiveQueryUpdate, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingOldest(maxBufferedUpdates)) { continuation in
            let request = WireProtocol.LiveQueryRequest(
                sql: sql,
                parameters: .positional(parameters.map { WireValue($0) }),
                key: key
            )
            do throws(ProtocolError) {
                let id = try follow(
                    request,
                    .handler { event in Self.pass(event, to: continuation) },
                    identity: identity,
                    owner: .max
                )
                let live = live
                continuation.onTermination = { _ in live.unsubscribe(id) }
            } catch {
                continuation.finish(throwing: QueryError(error.code, error.message))
            }
        }
    }

    private static func pass(
        _ event: LiveQueryEvent,
        to continuation: AsyncThrowingStream<LiveQueryUpdate, any Error>.Continuation
    ) {
        let update: LiveQueryUpdate
        switch event {
        case .snapshot(_, let description, let rows, let position), .reset(let description, let rows, let position):
            update = .rows(columns: description.columns, rows: rows.rows.map(\.values), position: Position(position))
        case .missed(_, _, let delta), .changed(_, let delta):
            let changes = delta.rows.map { change in
                LiveQueryChange(
                    before: change.before?.values,
                    after: change.after?.values,
                    oldIndex: change.oldIndex,
                    index: change.index
                )
            }
            update = .changes(changes, position: Position(delta.position))
        case .refused(_, let refusal), .ended(_, _, let refusal):
            let error = ProtocolError(refusal)
            continuation.finish(throwing: QueryError(error.code, error.message, sqlOffset: refusal.offset))
            return
        case .started, .joined, .reached:
            return
        }
        if case .dropped = continuation.yield(update) {
            // No update may be skipped.
            continuation.finish(throwing: QueryError(.tooBig, "the reader of a live query has fallen behind"))
        }
    }
}

/// A connection with only one live query.
package struct LiveClient: Sendable {
    /// The id in the hub.
    package var id: ClientID
    package var identity: Identity

    package init(id: ClientID, identity: Identity) {
        self.id = id
        self.identity = identity
    }
}
