import NIOCore
import NIOPosix
import Tablecast

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

// A broadcast server for measuring fan-out: see the README of the repository. It listens on 127.0.0.1 at the path `/`.

let options = try Options(Array(CommandLine.arguments.dropFirst()))

var files = rlimit()
#if canImport(Glibc)
    let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#else
    let openFiles = RLIMIT_NOFILE
#endif
getrlimit(openFiles, &files)
files.rlim_cur = files.rlim_max
setrlimit(openFiles, &files)

var configuration = ServerConfiguration()
configuration.port = options.port
configuration.path = "/"
configuration.maxConnections = options.conns + 100

let group = MultiThreadedEventLoopGroup(numberOfThreads: options.threads)
let server = WebSocketServer(configuration: configuration)
try await server.start(on: group)

let eventLoop = group.next()
try await eventLoop.submit { Publisher(server, options, on: eventLoop).waitForClients() }.get()

// Runs until it is killed: the clients may still be reading.
try await Task.sleep(for: .seconds(300))
await server.stop()
