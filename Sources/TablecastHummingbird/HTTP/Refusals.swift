import HTTPTypes
package import Hummingbird
import WireProtocol

/// Answers 405 where a path is the service's and the method is not; Hummingbird itself says 404.
///
/// Only what no route takes comes here: neither the service's answers nor an application's own routes.
struct MethodCheck<Context: RequestContext>: RouterMiddleware {
    let routes: [ServiceRoute]

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.isOfNoRoute(context) {
            let methods = routes.filter { $0.matches(request.uri.path) }.flatMap(\.methods)
            guard !methods.isEmpty, !methods.contains(request.method) else { throw error }
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

/// Answers a path that nobody has with what the service says of every refusal. For a server that has no other routes.
package struct UnknownPaths<Context: RequestContext>: RouterMiddleware {
    package init() {}

    package func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.isOfNoRoute(context) {
            let response = Response.failure(
                .notFound,
                .invalidMessage,
                "there is nothing at \(request.uri.path); /asyncapi.yaml says what there is"
            )
            return request.method == .head ? response.createHeadResponse() : response
        }
    }
}

extension HTTPError {
    /// Whether it is the router's, which found no route, rather than a route's own.
    fileprivate func isOfNoRoute(_ context: some RequestContext) -> Bool {
        status == .notFound && context.endpointPath == "NotFound"
    }
}
