package import Broadcast
package import LiveQueries
import QueryEngine

/// A service as its status and metrics show it: of a database file, or a relay.
package protocol MonitoredService: AnyObject, Sendable {
    var server: WebSocketServer { get }
    /// The database's name in messages.
    var databaseName: String { get }
    var uptime: Duration { get }
    /// Runs no SQL.
    var watcherStatus: WatcherStatus { get }
    /// Nil while there are no live queries.
    var liveStatistics: LiveQueryStatistics? { get }

    /// The waiting and running queries of each client, by its id in the protocol.
    var queryCounts: [String: Int] { get }

    func liveQueryCount(of client: ClientID) -> Int
    /// Updates every gauge.
    func updateLevels()
    func liveFigures() async -> [LiveQueryFigures]
}

extension TablecastService: MonitoredService {
    package var queryCounts: [String: Int] {
        Dictionary(uniqueKeysWithValues: queries.queryCounts.map { ($0.key.rawValue, $0.value) })
    }

    package func liveQueryCount(of client: ClientID) -> Int { live.queryCount(of: client) }
}
