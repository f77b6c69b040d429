import HTTPTypes
import Hummingbird
import NIOCore
import Tablecast
import WireProtocol

/// `POST /row`: writes one row by its key. 409 `CONFLICT` with the row as it is where it has changed meanwhile.
/// When the client goes away before it is written, it is not.
struct RowRoute {
    static let maxBodyBytes = 4 << 20

    let service: TablecastService

    func respond(to request: Request, from identity: Identity) async throws -> Response {
        var request = request
        let body = try await request.body(upTo: Self.maxBodyBytes)
        let write: RowWriteRequest
        do throws(ProtocolError) {
            write = try RowWriteRequest(parsing: body.readableBytesView)
        } catch {
            return .failure(.badRequest, error.code, error.message)
        }
        let requester = QueryRequester.request(of: identity)
        let answer = try await request.whileConnected {
            service.requesterLeft(requester)
        } _: {
            await withCheckedContinuation { continuation in
                service.write(write, for: requester) { continuation.resume(returning: $0) }
            }
        }
        var response = Response.json(answer.json, status: answer.status)
        response.headers.append(contentsOf: Request.connectionHeaders)
        return response
    }
}

extension RowWriteAnswer {
    fileprivate var status: HTTPResponse.Status {
        switch self {
        case .written: .ok
        case .failed(let code, _, _): code.status
        }
    }
}
