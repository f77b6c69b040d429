package import HTTPTypes
package import Hummingbird
import NIOCore
import NIOHTTP1
package import Tablecast
import WebSocketTransport
import WireProtocol

/// Identifies the sender of a request, and rejects requests without sufficient rights.
struct RequestAccess: Sendable {
    let server: WebSocketServer

    /// - Throws: ``AccessRefusal``, which is a response: 401, or 403 when the role is too low.
    func identity(of request: Request) async throws -> Identity {
        let identity = try await server.identity(
            authorization: request.headers[values: .authorization],
            uri: request.uri.string,
            forwarded: request.headers[values: .forwardedIdentity]
        )
        ClientConnection.current?.becameKnown()
        return identity
    }
}

extension HTTPField.Name {
    // The name is a token of RFC 9110, so the initializer does not fail.
    static let forwardedIdentity = HTTPField.Name(ForwardedIdentity.header) ?? .cookie
}

extension AccessRefusal: HTTPResponseError {
    package var status: HTTPResponse.Status {
        switch kind {
        case .badRequest: .badRequest
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .unavailable: .serviceUnavailable
        }
    }

    package func response(from request: Request, context: some RequestContext) -> Response {
        var response = Response.failure(status, code, reason)
        response.headers[.wwwAuthenticate] = challenge
        if case .unavailable = kind { response.headers[.retryAfter] = "5" }
        return response
    }
}

extension Response {
    /// The response for an event stream beyond a limit of connections, or of a server that stops.
    static func refusedConnection(_ refusal: UpgradeRefusal) -> Response {
        let status: HTTPResponse.Status = refusal.status == .tooManyRequests ? .tooManyRequests : .serviceUnavailable
        var response = failure(status, refusal == .stopping ? .interrupted : .rateLimited, refusal.reason)
        response.headers[.retryAfter] = refusal.headers.first(name: "Retry-After")
        return response
    }

    /// The response for a request error, with the closest status.
    static func failure(_ error: ProtocolError) -> Response {
        var response = failure(error.code.status, error.code, error.message)
        if error.code == .forbidden {
            // RFC 6750 section 3.1: the token is valid and its rights are not sufficient.
            response.headers[.wwwAuthenticate] = "Bearer realm=\"tablecast\", error=\"insufficient_scope\""
        }
        return response
    }
}

/// Rejects the requests of foreign web pages, like the WebSocket upgrade: otherwise a page of any site could run SQL on
/// its visitor's machine with a plain form. Rejects bodies that are compressed, too.
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
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            // RFC 9110 section 12.5.3 for the header of the response.
            var refusal = Response.failure(
                .unsupportedMediaType,
                .invalidMessage,
                "Content-Encoding: expected a body that is not encoded, found \(quoted(encoding))"
            )
            refusal.headers[.acceptEncoding] = "identity"
            return refusal
        }
        return try await next(request, context)
    }
}

extension Request {
    /// Runs `operation` and calls `handler`, once, if the client disconnects meanwhile.
    ///
    /// On a server that does not report this (see ``ClientConnection``), the connection is read to its end and takes no
    /// further request: the response must carry ``connectionHeaders``.
    func whileConnected<Result: Sendable>(
        onEnd handler: @escaping @Sendable () -> Void,
        _ operation: () async throws -> Result
    ) async throws -> Result {
        if let connection = ClientConnection.current {
            return try await connection.notifying(onEnd: handler, operation)
        }
        return try await body.consumeWithInboundCloseHandler { _ in
            try await operation()
        } onInboundClosed: {
            handler()
        }
    }

    /// The response's connection headers after ``whileConnected(onEnd:_:)``.
    static var connectionHeaders: HTTPFields { ClientConnection.current == nil ? [.connection: "close"] : [:] }
}
