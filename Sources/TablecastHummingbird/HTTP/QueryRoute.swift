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
        return Response(
            status: .ok,
            headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store", .connection: "close"],
            body: output.pipe.body(of: request)
        )
    }

    private func document(
        _ query: QueryRequest,
        _ requester: QueryRequester,
        _ request: Request
    ) async throws -> Response {
        let (ending, json) = try await request.body.consumeWithInboundCloseHandler { _ in
            await withCheckedContinuation { continuation in
                service.runToDocument(query, for: requester) { continuation.resume(returning: ($0, $1)) }
            }
        } onInboundClosed: {
            service.requesterLeft(requester)
        }
        return Response(
            status: ending.status,
            // Watching for the end of the request has used the connection up.
            headers: [
                .contentType: "application/json; charset=utf-8", .cacheControl: "no-store", .connection: "close",
            ],
            body: .init(byteBuffer: ByteBuffer(bytes: json))
        )
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
