import HTTPTypes
package import Hummingbird
import WireProtocol

/// Answers 405 when the path belongs to the service and the method does not match; Hummingbird itself answers 404.
///
/// It handles only requests without a route: neither the service's responses nor an application's own routes.
struct MethodCheck<Context: RequestContext>: RouterMiddleware {
    let routes: [ServiceRoute]

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        try await answeringForNoRoute(request, context, next) { request in
            let methods = ServiceRoute.methods(at: request.uri.path, of: routes)
            guard !methods.isEmpty, !methods.contains(request.method) else { return nil }
            let allowed = methods.map(\.rawValue).joined(separator: ", ")
            var response = Response.failure(
                .methodNotAllowed,
                .invalidMessage,
                "\(request.uri.path) takes \(allowed), not \(request.method.rawValue)"
            )
            response.headers[.allow] = allowed
            return response
        }
    }
}

/// Answers an unknown path with the service's error format. For a server that has no other routes.
package struct UnknownPaths<Context: RequestContext>: RouterMiddleware {
    /// Those that any address takes.
    private static var methods: String { "GET, HEAD, OPTIONS, POST" }

    package init() {}

    package func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        try await answeringForNoRoute(request, context, next) { request in
            // About the server as a whole: RFC 9110 section 9.3.7.
            if request.method == .options, request.uri.path == "*" {
                return Response(status: .noContent, headers: [.allow: Self.methods])
            }
            let response = Response.failure(
                .notFound,
                .invalidMessage,
                "nothing is served at \(request.uri.path); /asyncapi.yaml lists the available paths"
            )
            return request.method == .head ? response.createHeadResponse() : response
        }
    }
}

/// Passes a request on; when the router found no route for it, `answer` may return a better response.
private func answeringForNoRoute<Context: RequestContext>(
    _ request: Request,
    _ context: Context,
    _ next: (Request, Context) async throws -> Response,
    _ answer: (Request) -> Response?
) async throws -> Response {
    do {
        return try await next(request, context)
    } catch let error as HTTPError where error.status == .notFound && context.endpointPath == "NotFound" {
        // The error is the router's own, not one that a route threw.
        guard let response = answer(request) else { throw error }
        return response
    }
}
