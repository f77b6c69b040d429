import Hummingbird
import Tablecast
import TablecastHummingbird

// The README's example of embedding as a program, `EmbeddingExample DATABASE PORT`: Tests/EndToEnd/test_embedding.py
// starts it, and holds these lines against the README's.

let router = Router()
router.get("/hello") { _, _ in "hello" }

let service = try TablecastService(database: DatabaseConfiguration(path: CommandLine.arguments[1]))
router.addTablecast(service)
var application = Application(router: router, server: .tablecast(service.server))
application.configuration.address = .hostname("127.0.0.1", port: Int(CommandLine.arguments[2]) ?? 0)
application.addServices(service)
try await application.runService()
