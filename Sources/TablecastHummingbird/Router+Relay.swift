import Foundation
public import Hummingbird
import NIOCore
public import TablecastRelay
import WireProtocol

extension RouterMethods {
    /// Adds the HTTP routes of a relay besides the WebSocket: `/events`, `/status`, `/metrics` and the others that it serves
    /// itself, and the web page at `/`. Those that need the database are refused, with an error that names it.
    ///
    /// - Parameters:
    ///   - relay: the relay, which must live as long as the application.
    ///   - servesPage: whether the web page and the JavaScript client are served too.
    @discardableResult
    public func addTablecast(_ relay: RelayService, servesPage: Bool = true) -> Self {
        addRoutes(of: relay, servesPage: servesPage) { $0.addRefusals(relay) }
    }
}

extension RouterGroup {
    fileprivate func addRefusals(_ relay: RelayService) {
        let access = RequestAccess(server: relay.server)
        let routes: [(ServiceRoute, String)] = [
            (.live, "live queries"), (.query, "queries"), (.cancel, "queries"), (.row, "writing rows"),
            (.tables, "the list of tables"), (.table, "the schema of a table"),
        ]
        for (route, what) in routes {
            add(route) { request, _ in
                _ = try await access.identity(of: request)
                return .failure(relay.refusal(what))
            }
        }
    }
}
