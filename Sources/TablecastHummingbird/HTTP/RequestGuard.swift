import HTTPTypes
import Hummingbird
import Tablecast
import WebSocketTransport
import WireProtocol

/// Keeps the requests of foreign web pages out, as the WebSocket does: a page of any site could otherwise run SQL on its
/// visitor's machine with a plain form.
struct RequestGuard<Context: RequestContext>: RouterMiddleware {
    let server: WebSocketServer

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do throws(UpgradeRefusal) {
            try server.admit(request, origin: request.headers[.origin])
        } catch {
            return .failure(.forbidden, .forbidden, error.reason)
        }
        return try await next(request, context)
    }
}
