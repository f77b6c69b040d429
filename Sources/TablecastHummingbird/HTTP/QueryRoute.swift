import HTTPTypes
import Hummingbird
import NIOCore
import Tablecast
import WireProtocol

/// `POST /query`: one JSON document, or one message a line as the query runs. When the client goes away, the query is
/// cancelled and what it began is rolled back.
struct QueryRoute {
    /// The largest body; the query service limits the SQL itself.
    static let maxBodyBytes = 4 << 20
    /// Bytes on their way to the client beyond which the query waits.
    static let maxQueuedBytes = 1 << 20

    let service: TablecastService

    func respond(to request: Request, from identity: Identity) async throws -> Response {
        var request = request
        let body = try await request.body(upTo: Self.maxBodyBytes)
        let query: QueryRequest
        do throws(ProtocolError) {
            query = try QueryRequest(parsing: body.readableBytesView)
        } catch {
            return .failure(.badRequest, error.code, error.message)
        }
        let wantsLines = request.headers[values: .accept].contains { $0.contains("application/x-ndjson") }
        let requester = QueryRequester.request(of: identity)
        return wantsLines ? lines(query, requester, request) : try await document(query, requester, request)
    }

    private func lines(_ query: QueryRequest, _ requester: QueryRequester, _ request: Request) -> Response {
        let output = LineOutput(maxQueuedBytes: Self.maxQueuedBytes)
        output.pipe.onCancel { service.requesterLeft(requester) }
        let handle = service.run(query, for: requester, output: output)
        output.pipe.onDrain { handle.resume() }
        var headers = Request.connectionHeaders
        headers[.contentType] = "application/x-ndjson"
        headers[.cacheControl] = "no-store"
        return Response(status: .ok, headers: headers, body: output.pipe.body(of: request))
    }

    private func document(
        _ query: QueryRequest,
        _ requester: QueryRequester,
        _ request: Request
    ) async throws -> Response {
        let (ending, json) = try await request.whileConnected {
            service.requesterLeft(requester)
        } _: {
            await withCheckedContinuation { continuation in
                service.runToDocument(query, for: requester) { continuation.resume(returning: ($0, $1)) }
            }
        }
        var response = Response.json(json, status: ending.status)
        response.headers.append(contentsOf: Request.connectionHeaders)
        return response
    }
}

extension QueryEnding {
    fileprivate var status: HTTPResponse.Status {
        switch self {
        case .completed: .ok
        case .cancelled(.timeout): .requestTimeout
        case .cancelled: .serviceUnavailable
        case .failed(let code): code.status
        }
    }
}
