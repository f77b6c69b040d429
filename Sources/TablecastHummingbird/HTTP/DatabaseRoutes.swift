import Hummingbird
import Tablecast
import WireProtocol

/// `GET /tables`, `GET /tables?name=`, `GET /tables/{name}`, `POST /query/{queryId}/cancel`.
struct DatabaseRoutes {
    let service: TablecastService

    /// With `name` in the address what there is of that name: an empty one cannot be part of a path.
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
                return .failure(.notFound, .sqlError, "there is no table \"\(name)\" in \(service.databaseName)")
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
