import HTTPTypes
import Hummingbird
import NIOCore
import WireProtocol

extension Response {
    /// A JSON document.
    /// - Parameter retryAfter: in milliseconds.
    static func json(_ bytes: [UInt8], status: HTTPResponse.Status = .ok, retryAfter: Int? = nil) -> Response {
        var headers: HTTPFields = [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"]
        // In whole seconds.
        if let retryAfter { headers[.retryAfter] = "\((retryAfter + 999) / 1_000)" }
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    static func text(_ text: String, contentType: String = "text/plain; charset=utf-8") -> Response {
        Response(status: .ok, headers: [.contentType: contentType], body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    /// `{"error","code"}`: what was wrong and what was expected.
    static func failure(_ status: HTTPResponse.Status, _ code: ErrorCode, _ message: String) -> Response {
        var writer = JSONWriter()
        writer.beginObject()
        writer.field("error", message)
        writer.field("code", code.rawValue)
        writer.endObject()
        return .json(writer.bytes, status: status)
    }
}

extension Request {
    /// The whole body; throws an error response when it is too large or incomplete.
    mutating func body(upTo maxBytes: Int) async throws(RequestError) -> ByteBuffer {
        do {
            return try await collectBody(upTo: maxBytes)
        } catch is NIOTooManyBytesError {
            throw RequestError(.contentTooLarge, .tooBig, "the body: expected at most \(maxBytes) bytes")
        } catch {
            throw RequestError(.badRequest, .invalidMessage, "the body: expected all of it, found less")
        }
    }
}

/// A request that is answered with an error.
struct RequestError: HTTPResponseError {
    let status: HTTPResponse.Status
    let code: ErrorCode
    let message: String

    init(_ status: HTTPResponse.Status, _ code: ErrorCode, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        var response = Response.failure(status, code, message)
        // The rest of the body may be endless, and is not a request.
        if status == .contentTooLarge { response.headers[.connection] = "close" }
        return response
    }
}

extension ErrorCode {
    /// The closest HTTP status.
    var status: HTTPResponse.Status {
        switch self {
        case .invalidMessage, .unknownType, .unknownChannel, .sqlError, .notLive, .transactionLeftOpen: .badRequest
        case .unauthorized: .unauthorized
        case .forbidden, .notAuthorized, .readOnly: .forbidden
        case .queryNotFound, .subscriptionNotFound, .clientNotFound: .notFound
        case .constraint, .conflict, .queryIDInUse: .conflict
        case .tooBig: .contentTooLarge
        case .rateLimited, .tooManyQueries: .tooManyRequests
        case .busy, .databaseGone, .interrupted: .serviceUnavailable
        default: .internalServerError
        }
    }
}

extension ResponsePipe {
    /// A response body that writes the bytes of the pipe, and cancels the pipe when the client disconnects.
    func body(of request: Request) -> ResponseBody {
        let response = Unwritten(pipe: self)
        return ResponseBody { writer in
            defer { withExtendedLifetime(response) {} }
            // The closure is called once, and the two tasks do not use the writer at the same time.
            var writer = writer
            do {
                try await request.whileConnected {
                    self.cancel()
                } _: {
                    while let bytes = await self.next() { try await writer.write(bytes) }
                }
                // Without the last chunk, and with the end of the connection.
                if self.isBroken { throw IncompleteResponse() }
                try await writer.finish(nil)
            } catch {
                self.cancel()
                throw error
            }
        }
    }

    private struct IncompleteResponse: Error {}

    /// A client can disconnect before the response begins: then its body is released, and the pipe has no reader.
    private final class Unwritten: Sendable {
        private let pipe: ResponsePipe

        init(pipe: ResponsePipe) { self.pipe = pipe }

        deinit { pipe.cancel() }
    }
}
