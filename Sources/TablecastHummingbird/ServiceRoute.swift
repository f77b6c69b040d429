import HTTPTypes
import TablecastWeb

/// An address of a service over HTTP besides the WebSocket and the page, with the methods that it takes.
package struct ServiceRoute: Sendable, Hashable {
    /// With the names of what varies in braces.
    let path: String
    let methods: [HTTPRequest.Method]

    static let events = reading("/events")
    static let live = ServiceRoute(path: "/live", methods: [.get, .head, .post])
    static let query = ServiceRoute(path: "/query", methods: [.post])
    static let cancel = ServiceRoute(path: "/query/{queryId}/cancel", methods: [.post])
    static let row = ServiceRoute(path: "/row", methods: [.post])
    static let tables = reading("/tables")
    static let table = reading("/tables/{name}")
    static let broadcast = ServiceRoute(path: "/broadcast", methods: [.post])
    static let health = reading("/health")
    static let ready = reading("/ready")
    static let status = reading("/status")
    static let metrics = reading("/metrics")
    static let contract = reading("/asyncapi.yaml")

    static let all = [
        events, live, query, cancel, row, tables, table, broadcast, health, ready, status, metrics, contract,
    ]

    static func reading(_ path: String) -> ServiceRoute { ServiceRoute(path: path, methods: [.get, .head]) }

    /// Whether the path of a request is this address.
    func matches(_ path: some StringProtocol) -> Bool {
        let expected = self.path.split(separator: "/")
        let found = path.split(separator: "/")
        return expected.count == found.count && zip(expected, found).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
    }

    /// Whether the service, or its page, answers at the path.
    package static func isTaken(_ path: String) -> Bool {
        all.contains { $0.matches(path) } || WebAssets().paths.contains(path)
    }
}
