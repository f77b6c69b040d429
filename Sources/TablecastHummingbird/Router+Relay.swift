public import Hummingbird
import Tablecast
public import TablecastRelay

extension RouterMethods {
    /// Adds the HTTP routes of a relay besides the WebSocket: those that it serves itself, such as `/events`, `/status` and
    /// `/metrics`, those that it forwards to its source, such as `/tables` and `/query`, and the web page at `/`.
    ///
    /// - Parameters:
    ///   - relay: the relay, which must live as long as the application.
    ///   - servesPage: whether the web page and the JavaScript client are served too.
    @discardableResult
    public func addTablecast(_ relay: RelayService, servesPage: Bool = true) -> Self {
        addRoutes(of: relay, servesPage: servesPage) { $0.addForwarded(relay) }
    }
}

extension RouterGroup {
    fileprivate func addForwarded(_ relay: RelayService) {
        let access = RequestAccess(server: relay.server)
        let proxy = RelayProxy(relay: relay)
        for route in [ServiceRoute.live, .query, .cancel, .row, .tables, .table] {
            add(route) { request, _ in
                try await proxy.respond(to: request, from: try await access.identity(of: request))
            }
        }
    }
}
