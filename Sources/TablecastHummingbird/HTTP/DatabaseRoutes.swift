import HTTPTypes
import Hummingbird
import NIOCore
import Tablecast
import WireProtocol

/// `GET /tables`, `GET /tables?name=`, `GET /tables/{name}`, `POST /query/{queryId}/cancel`.
struct DatabaseRoutes {
    let service: TablecastService

    /// With `name` in the query string, returns the object of that name: an empty name cannot be part of a path.
    func list(_ request: Request, for identity: Identity) async -> Response {
        do {
            if let name = try AddressQuery(of: request.uri.string).value("name") {
                return await describe(name, for: identity)
            }
            return .json(try await service.tables(for: identity))
        } catch let error as ProtocolError {
            return .failure(error)
        } catch {
            return .failure(.serviceUnavailable, ErrorCode(of: error), "\(error)")
        }
    }

    func describe(_ name: String, for identity: Identity) async -> Response {
        do {
            guard let description = try await service.describeTable(name, for: identity) else {
                return .failure(.notFound, .sqlError, "no table \"\(name)\" in \(service.databaseName)")
            }
            return .json(description)
        } catch let error as ProtocolError {
            return .failure(error)
        } catch let error as UnusableTable {
            return .failure(.unprocessableContent, .sqlError, "\(error)")
        } catch {
            return .failure(.serviceUnavailable, ErrorCode(of: error), "\(error)")
        }
    }

    func cancel(_ queryID: String, by identity: Identity) -> Response {
        do throws(ProtocolError) {
            try service.cancel(queryID: queryID, by: identity)
            return Response(status: .accepted)
        } catch {
            return .failure(error)
        }
    }
}

/// `POST /query`: one JSON document, or one message per line as the query runs. When the client disconnects, the query
/// is cancelled and its open transaction is rolled back.
struct QueryRoute {
    let service: TablecastService

    func respond(to request: Request, from identity: Identity) async throws -> Response {
        var request = request
        let body = try await request.body(upTo: service.server.configuration.limits.http.maxQueryBodyBytes)
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
        let output = LineOutput(maxQueuedBytes: service.server.configuration.limits.http.maxQueuedBytes)
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
        try await request.answer(service, to: requester) { answer in
            service.runToDocument(query, for: requester) {
                answer(.json($1, status: $0.status, retryAfter: $0.retryAfter))
            }
        }
    }
}

extension Request {
    /// Answers with what `work` passes on once; when the client disconnects before, its queries are cancelled.
    fileprivate func answer(
        _ service: TablecastService,
        to requester: QueryRequester,
        _ work: (_ answer: @escaping @Sendable (Response) -> Void) -> Void
    ) async throws -> Response {
        var response = try await whileConnected {
            service.requesterLeft(requester)
        } _: {
            await withCheckedContinuation { continuation in work { continuation.resume(returning: $0) } }
        }
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
        case .failed(let code, _): code.status
        }
    }

    fileprivate var retryAfter: Int? {
        if case .failed(_, let retryAfter) = self { retryAfter } else { nil }
    }
}

/// `POST /row`: writes one row by its key. Answers 409 `CONFLICT` with the current row when it has changed meanwhile.
/// A row whose client disconnects before the write is not written.
struct RowRoute {
    let service: TablecastService

    func respond(to request: Request, from identity: Identity) async throws -> Response {
        var request = request
        let body = try await request.body(upTo: service.server.configuration.limits.http.maxQueryBodyBytes)
        let write: RowWriteRequest
        do throws(ProtocolError) {
            write = try RowWriteRequest(parsing: body.readableBytesView)
        } catch {
            return .failure(.badRequest, error.code, error.message)
        }
        let requester = QueryRequester.request(of: identity)
        return try await request.answer(service, to: requester) { answer in
            service.write(write, for: requester) {
                answer(.json($0.json, status: $0.status, retryAfter: $0.retryAfter))
            }
        }
    }
}

extension RowWriteAnswer {
    fileprivate var status: HTTPResponse.Status {
        switch self {
        case .written: .ok
        case .failed(let code, _, _): code.status
        }
    }

    fileprivate var retryAfter: Int? {
        if case .failed(_, _, let failure) = self { failure.retryAfter } else { nil }
    }
}
