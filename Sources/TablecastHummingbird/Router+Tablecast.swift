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
        get("/events") { request, _ in try await events.respond(to: request) }
        post("/query") { request, _ in try await query.respond(to: request) }
        post("/query/{queryId}/cancel") { _, context in database.cancel(try context.decodedParameter("queryId")) }
        get("/tables") { _, _ in await database.list() }
        get("/tables/{name}") { _, context in
            let name = try context.decodedParameter("name")
            return await database.describe(name)
        }
        post("/broadcast") { request, _ in try await broadcast.respond(to: request) }
        get("/health") { _, _ in status.health() }
        get("/ready") { _, _ in await status.ready() }
        get("/status") { _, _ in status.status() }
        get("/metrics") { _, _ in status.metrics() }
        get("/asyncapi.yaml") { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "application/yaml; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(bytes: PackageResources.asyncapi_yaml))
            )
        }
    }

    private func addPage(_ assets: WebAssets) {
        for path in assets.paths {
            guard let asset = assets.asset(at: path) else { continue }
            get(RouterPath(path)) { request, _ in
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
