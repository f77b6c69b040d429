import ChangeCapture
import Hummingbird
import Tablecast
import TablecastHummingbird
import WireProtocol

/// The README's Swift, compiled so that it stays true. Nothing runs it.
enum ReadmeExamples {
    static func hummingbird(router: Router<BasicRequestContext>) throws -> any ApplicationProtocol {
        let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
        router.addTablecast(service)
        let application = Application(router: router, server: .tablecast(service.server))
        return application
    }

    static func broadcaster() async throws {
        let server = try await WebSocketServer.start()
        server.broadcast(.custom(MessageType("chat:message"), ["text": "hello"]), to: .notifications)
    }

    static func watcher() async throws {
        for try await transaction in try FileWatcher(path: "my.db").changes {
            for case .rows(let rows) in transaction.events {
                print(rows.table.name, rows.inserted, rows.updated, rows.deleted)
            }
        }
    }
}
