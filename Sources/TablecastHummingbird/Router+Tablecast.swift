import Foundation
import HTTPTypes
public import Hummingbird
import NIOCore
public import Tablecast
import TablecastWeb
import WireProtocol

extension RouterMethods {
    /// Adds what a service answers over HTTP besides the WebSocket: `/events`, `/query`, `/tables`, `/status` and the
    /// others of the protocol, and the web page at `/`.
    ///
    /// Where the server has an ``Authenticator``, all but the page, the contract, `/health` and `/ready` ask for a token.
    ///
    /// - Parameters:
    ///   - service: the service, which must live as long as the application.
    ///   - servesPage: whether the web page and the JavaScript client are served too.
    @discardableResult
    public func addTablecast(_ service: TablecastService, servesPage: Bool = true) -> Self {
        let routes = group().add(middleware: RequestGuard(server: service.server))
        routes.addService(service)
        if servesPage { routes.addPage(WebAssets()) }
        return self
    }

    private func addService(_ service: TablecastService) {
        let events = EventsRoute(service: service)
        let query = QueryRoute(service: service)
        let database = DatabaseRoutes(service: service)
        let status = StatusRoutes(service: service)
        let broadcast = BroadcastRoute(server: service.server)
        let access = RequestAccess(server: service.server)
        addGet("/events") { request, _ in
            try await events.respond(to: request, from: try await access.identity(of: request))
        }
        post("/query") { request, _ in
            try await query.respond(to: request, from: try await access.identity(of: request))
        }
        post("/query/{queryId}/cancel") { request, context in
            let identity = try await access.identity(of: request)
            return database.cancel(try context.decodedParameter("queryId"), by: identity)
        }
        addGet("/tables") { request, _ in await database.list(for: try await access.identity(of: request)) }
        addGet("/tables/{name}") { request, context in
            let identity = try await access.identity(of: request)
            return await database.describe(try context.decodedParameter("name"), for: identity)
        }
        post("/broadcast") { request, _ in
            try await broadcast.respond(to: request, from: try await access.identity(of: request))
        }
        addGet("/health") { _, _ in status.health() }
        addGet("/ready") { _, _ in await status.ready() }
        addGet("/status") { request, _ in
            _ = try await access.identity(of: request)
            return status.status()
        }
        addGet("/metrics") { request, _ in
            _ = try await access.identity(of: request)
            return status.metrics()
        }
        addGet("/asyncapi.yaml") { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "application/yaml; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(bytes: PackageResources.asyncapi_yaml))
            )
        }
    }

    /// A route for GET, and for HEAD, which answers the same without a body.
    private func addGet(
        _ path: RouterPath,
        respond: @escaping @Sendable (Request, Context) async throws -> Response
    ) {
        get(path, use: respond)
        head(path) { request, context in try await respond(request, context).createHeadResponse() }
    }

    private func addPage(_ assets: WebAssets) {
        for path in assets.paths {
            guard let asset = assets.asset(at: path) else { continue }
            addGet(RouterPath(path)) { request, _ in
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
    /// A part of the path without its percent-encoding, which Hummingbird leaves in place.
    fileprivate func decodedParameter(_ name: String) throws -> String {
        let text = try parameters.require(name)
        guard let decoded = text.removingPercentEncoding else {
            throw RequestError(.badRequest, .invalidMessage, "\(name) in the path is not percent-encoded UTF-8")
        }
        return decoded
    }
}
