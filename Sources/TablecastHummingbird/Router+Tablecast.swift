import Foundation
import HTTPTypes
public import Hummingbird
import NIOCore
public import Tablecast
import TablecastWeb
import WireProtocol

extension RouterMethods {
    /// Adds the service's HTTP routes besides the WebSocket: `/events`, `/query`, `/tables`, `/status` and the others
    /// of the protocol, and the web page at `/`.
    ///
    /// A method that a route does not support is answered with 405. Every other path belongs to the application.
    ///
    /// When the server has an ``Authenticator``, all routes except the page, the contract, `/health` and `/ready`
    /// require a token.
    ///
    /// - Parameters:
    ///   - service: the service, which must live as long as the application.
    ///   - servesPage: whether the web page and the JavaScript client are served too.
    @discardableResult
    public func addTablecast(_ service: TablecastService, servesPage: Bool = true) -> Self {
        addRoutes(of: service, servesPage: servesPage) { $0.addDatabase(service) }
    }

    /// Adds the routes that every service has, and those of its database.
    func addRoutes(
        of service: any MonitoredService,
        servesPage: Bool,
        _ addDatabase: (RouterGroup<Context>) -> Void
    ) -> Self {
        let assets = WebAssets()
        let taken = ServiceRoute.all + (servesPage ? assets.paths.map(ServiceRoute.reading) : [])
        _ = add(middleware: CrossOriginAccess(server: service.server, routes: taken))
        let routes = group().add(middleware: RequestGuard(server: service.server))
        routes.addService(service)
        addDatabase(routes)
        if servesPage { routes.addPage(assets) }
        return add(middleware: MethodCheck(routes: taken))
    }

    private func addDatabase(_ service: TablecastService) {
        let live = LiveRoute(service: service)
        let query = QueryRoute(service: service)
        let row = RowRoute(service: service)
        let database = DatabaseRoutes(service: service)
        let access = RequestAccess(server: service.server)
        add(.live) { request, _ in
            try await live.respond(to: request, from: try await access.identity(of: request))
        }
        add(.query) { request, _ in
            try await query.respond(to: request, from: try await access.identity(of: request))
        }
        add(.cancel) { request, context in
            let identity = try await access.identity(of: request)
            return database.cancel(try context.decodedParameter("queryId"), by: identity)
        }
        add(.row) { request, _ in
            try await row.respond(to: request, from: try await access.identity(of: request))
        }
        add(.tables) { request, _ in await database.list(request, for: try await access.identity(of: request)) }
        add(.table) { request, context in
            let identity = try await access.identity(of: request)
            return await database.describe(try context.decodedParameter("name"), for: identity)
        }
    }

    private func addService(_ service: any MonitoredService) {
        let events = EventsRoute(server: service.server)
        let status = StatusRoutes(service: service)
        let clients = ClientRoutes(service: service)
        let broadcast = BroadcastRoute(server: service.server)
        let access = RequestAccess(server: service.server)
        add(.events) { request, _ in
            try await events.respond(to: request, from: try await access.identity(of: request))
        }
        add(.broadcast) { request, _ in
            try await broadcast.respond(to: request, from: try await access.identity(of: request))
        }
        add(.clients) { request, _ in
            clients.clients(for: try await access.identity(of: request))
        }
        add(.client) { request, context in
            let identity = try await access.identity(of: request)
            return clients.endClient(try context.decodedParameter("clientId"), by: identity)
        }
        add(.health) { _, _ in status.health() }
        add(.ready) { _, _ in status.ready() }
        add(.status) { request, _ in
            _ = try await access.identity(of: request)
            return status.status()
        }
        add(.metrics) { request, _ in
            await status.metrics(for: try await access.identity(of: request))
        }
        add(.contract) { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "application/yaml; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(bytes: PackageResources.asyncapi_yaml))
            )
        }
    }

    /// Registers a handler for each of the route's methods; HEAD is GET without the body.
    func add(
        _ route: ServiceRoute,
        respond: @escaping @Sendable (Request, Context) async throws -> Response
    ) {
        for method in route.methods {
            on(RouterPath(route.path), method: method) { request, context in
                let response = try await respond(request, context)
                return method == .head ? response.createHeadResponse() : response
            }
        }
    }

    private func addPage(_ assets: WebAssets) {
        for path in assets.paths {
            guard let asset = assets.asset(at: path) else { continue }
            add(.reading(path)) { request, _ in
                var headers = HTTPFields()
                for (name, value) in asset.headers {
                    if let name = HTTPField.Name(name) { headers[name] = value }
                }
                if let tag = request.headers[.ifNoneMatch], asset.matches(ifNoneMatch: tag) {
                    return Response(status: .notModified, headers: headers)
                }
                return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: asset.bytes)))
            }
        }
    }
}

extension RequestContext {
    /// A parameter of the path without its percent-encoding, which Hummingbird leaves in place.
    fileprivate func decodedParameter(_ name: String) throws -> String {
        let text = try parameters.require(name)
        guard let decoded = text.removingPercentEncoding else {
            throw RequestError(.badRequest, .invalidMessage, "\(name) in the path is not percent-encoded UTF-8")
        }
        return decoded
    }
}

/// An HTTP path of a service besides the WebSocket and the page, with its methods.
package struct ServiceRoute: Sendable, Hashable {
    /// With the names of the variable parts in braces.
    let path: String
    let methods: [HTTPRequest.Method]
    private let parts: [Substring]

    private init(path: String, methods: [HTTPRequest.Method]) {
        self.path = path
        self.methods = methods
        parts = path.split(separator: "/")
    }

    static let events = reading("/events")
    static let live = ServiceRoute(path: "/live", methods: [.get, .head, .post])
    static let query = ServiceRoute(path: "/query", methods: [.post])
    static let cancel = ServiceRoute(path: "/query/{queryId}/cancel", methods: [.post])
    static let row = ServiceRoute(path: "/row", methods: [.post])
    static let tables = reading("/tables")
    static let table = reading("/tables/{name}")
    static let broadcast = ServiceRoute(path: "/broadcast", methods: [.post])
    static let clients = reading("/clients")
    static let client = ServiceRoute(path: "/clients/{clientId}", methods: [.delete])
    static let health = reading("/health")
    static let ready = reading("/ready")
    static let status = reading("/status")
    static let metrics = reading("/metrics")
    static let contract = reading("/asyncapi.yaml")

    static let all = [
        events, live, query, cancel, row, tables, table, broadcast, clients, client, health, ready, status, metrics,
        contract,
    ]

    static func reading(_ path: String) -> ServiceRoute { ServiceRoute(path: path, methods: [.get, .head]) }

    /// The methods of the routes that match the path of a request; empty when none does.
    static func methods(at path: String, of routes: [ServiceRoute]) -> [HTTPRequest.Method] {
        // Once for all routes: this runs for each request.
        let found = path.split(separator: "/")
        return routes.filter { $0.matches(found) }.flatMap(\.methods)
    }

    private func matches(_ found: [Substring]) -> Bool {
        parts.count == found.count && zip(parts, found).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
    }

    /// Whether the service, or its page, serves the path.
    package static func isTaken(_ path: String) -> Bool {
        !methods(at: path, of: all).isEmpty || WebAssets().paths.contains(path)
    }
}
