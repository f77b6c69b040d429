import Hummingbird
import Tablecast
import WireProtocol

/// `GET /tables`, `GET /tables/{name}`, `POST /query/{queryId}/cancel`.
struct DatabaseRoutes {
    let service: TablecastService

    func list() async -> Response {
        do {
            return .json(try await service.tables())
        } catch {
            return .failure(.serviceUnavailable, .databaseError, "\(error)")
        }
    }

    func describe(_ name: String) async -> Response {
        do {
            guard let description = try await service.describeTable(name) else {
                return .failure(.notFound, .sqlError, "there is no table \"\(name)\" in \(service.databaseName)")
            }
            return .json(description)
        } catch {
            return .failure(.serviceUnavailable, .databaseError, "\(error)")
        }
    }

    func cancel(_ queryID: String) -> Response {
        do throws(ProtocolError) {
            try service.cancel(queryID: queryID)
            return Response(status: .accepted)
        } catch {
            return .failure(error.code.status, error.code, error.message)
        }
    }
}
