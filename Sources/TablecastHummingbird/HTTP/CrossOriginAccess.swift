import HTTPTypes
import Hummingbird
import Tablecast
import WebSocketTransport
import WireProtocol

/// Lets pages of allowed origins read the service's responses (Cross-Origin Resource Sharing); ``RequestGuard`` decides
/// which other requests are allowed.
///
/// It affects only the service's own paths. Add it before the routes.
///
/// Source: [Fetch, CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol).
struct CrossOriginAccess<Context: RequestContext>: RouterMiddleware {
    /// Request headers that a page may set: a token, a body's type, the representation that it already has.
    static var requestHeaders: String {
        "Accept, Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID"
    }
    /// Response headers that a page may read in addition to the default ones.
    static var responseHeaders: String { "Allow, ETag, Retry-After, WWW-Authenticate" }
    /// How long a browser may cache the preflight response.
    static var maxAgeSeconds: Int { 600 }

    let server: WebSocketServer
    let routes: [ServiceRoute]

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let methods = ServiceRoute.methods(at: request.uri.path, of: routes)
        guard !methods.isEmpty else { return try await next(request, context) }
        var response = try await answer(request, context, methods, next)
        // Also without an origin: a cache must not return that response to a page.
        response.headers.append(HTTPField(name: .vary, value: "Origin"))
        guard let origin = request.headers[.origin], isAllowed(request, origin) else { return response }
        response.headers[.accessControlAllowOrigin] = origin
        response.headers[.accessControlExposeHeaders] = Self.responseHeaders
        return response
    }

    private func answer(
        _ request: Request,
        _ context: Context,
        _ methods: [HTTPRequest.Method],
        _ next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard request.method == .options, let origin = request.headers[.origin],
            request.headers[.accessControlRequestMethod] != nil
        else {
            do {
                return try await next(request, context)
            } catch let error as any HTTPResponseError {
                // A page should be able to read the error of its request, too.
                return try error.response(from: request, context: context)
            }
        }
        guard isAllowed(request, origin) else {
            return .failure(.forbidden, .forbidden, "pages of this origin may not read the responses of this server")
        }
        var response = Response(status: .noContent)
        response.headers[.accessControlAllowMethods] = methods.map(\.rawValue).joined(separator: ", ")
        response.headers[.accessControlAllowHeaders] = Self.requestHeaders
        response.headers[.accessControlMaxAge] = "\(Self.maxAgeSeconds)"
        // A page on the internet requests a machine of the local network:
        // https://wicg.github.io/private-network-access/
        if let name = HTTPField.Name("Access-Control-Request-Private-Network"), request.headers[name] == "true",
            let allow = HTTPField.Name("Access-Control-Allow-Private-Network")
        {
            response.headers[allow] = "true"
        }
        return response
    }

    private func isAllowed(_ request: Request, _ origin: String) -> Bool {
        do throws(UpgradeRefusal) {
            try server.admit(request, origin: origin)
            return true
        } catch {
            return false
        }
    }
}

extension WebSocketServer {
    /// Checks a request's host and origin, like the WebSocket upgrade.
    func admit(_ request: Request, origin: String?) throws(UpgradeRefusal) {
        try admit(host: request.head.authority, origin: origin, isSecure: request.head.scheme == "https")
    }
}
