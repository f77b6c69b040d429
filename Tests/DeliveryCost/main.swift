import Broadcast
import NIOCore
import NIOPosix
import WebSocketTransport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// What `DirectSocket` saves of a delivery: `swift run -c release DeliveryCost [CONNECTIONS [ROUNDS]]`.
//
// One frame to each of many TCP connections, as `Shard` writes it, in two ways that take turns in one process: through the
// channel, and directly. The figures are processor time of the event loop's thread, so that other work of the machine
// disturbs them little.

/// A connection that receives nothing.
final class Silent: WebSocketSession {
    func opened(_ connection: WebSocketHandler) {}
    func received(text: ByteBuffer) {}
    func closed(_ status: CloseStatus) {}
}

enum Way: String, CaseIterable {
    case channel = "through the channel"
    case direct = "directly"

    var isPlain: Bool { self != .channel }
}

/// The server's ends of the connections. Confined to the event loop.
final class Connections {
    private var plain: [WebSocketHandler] = []
    private var channel: [WebSocketHandler] = []
    var count: Int { plain.count + channel.count }

    /// Every second one may be written to directly.
    var nextIsPlain: Bool { plain.count <= channel.count }

    func add(_ handler: WebSocketHandler, isPlain: Bool) {
        if isPlain { plain.append(handler) } else { channel.append(handler) }
    }

    /// Nanoseconds of processor time for each delivery.
    func deliver(_ frame: ByteBuffer, _ way: Way) -> Double {
        let members = way.isPlain ? plain : channel
        let start = Self.processorTime
        for member in members {
            let connection: any OutboundConnection = member
            _ = connection.write(frame)
        }
        return (Self.processorTime - start) / Double(members.count)
    }

    private static var processorTime: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// A blocking socket that is connected to the port.
func connectedSocket(to port: Int) throws -> CInt {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard descriptor >= 0, result == 0 else { throw Failure(description: "cannot connect: errno \(errno)") }
    return descriptor
}

/// Takes what has arrived.
func drain(_ sockets: [CInt]) {
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
        for descriptor in sockets {
            while recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT)) > 0 {}
        }
    }
}

let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
let connectionCount = arguments.first ?? 8_000
let rounds = arguments.dropFirst().first ?? 61

var files = rlimit()
getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
files.rlim_cur = files.rlim_max
setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let eventLoop = group.next()
let connections = try await eventLoop.submit { NIOLoopBound(Connections(), eventLoop: eventLoop) }.get()
var limits = WebSocketLimits()
limits.heartbeatInterval = nil
let resources = TransportResources(limits: limits)
let server = try await ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 1_024)
    .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let isPlain = connections.value.nextIsPlain
            let handler = WebSocketHandler(
                role: .server,
                session: Silent(),
                isPlain: isPlain,
                resources: resources,
                eventLoop: channel.eventLoop
            )
            try channel.pipeline.syncOperations.addHandler(handler)
            connections.value.add(handler, isPlain: isPlain)
        }
    }
    .bind(host: "127.0.0.1", port: 0)
    .get()

var sockets: [CInt] = []
for _ in 0..<connectionCount { sockets.append(try connectedSocket(to: server.localAddress?.port ?? 0)) }
while try await eventLoop.submit({ connections.value.count }).get() < connectionCount {
    try await Task.sleep(for: .milliseconds(1))
}

let frame = ByteBuffer(bytes: [0x81, 126, 0, 250] + [UInt8](repeating: UInt8(ascii: "x"), count: 250))
var times: [Way: [Double]] = [:]
for _ in 0..<rounds {
    for way in Way.allCases.shuffled() {
        times[way, default: []].append(try await eventLoop.submit { connections.value.deliver(frame, way) }.get())
        drain(sockets)
    }
}

print("\(connectionCount / 2) connections, \(rounds) rounds, \(frame.readableBytes) bytes; median of each way:")
var medians: [Way: Double] = [:]
for way in Way.allCases {
    let sorted = times[way, default: []].sorted()
    medians[way] = sorted[sorted.count / 2]
    print("    \(way.rawValue): \(Int(sorted[sorted.count / 2])) ns (lowest \(Int(sorted[0])))")
}
let saved = { (way: Way, other: Way) in
    "\(((1 - (medians[way] ?? 0) / (medians[other] ?? 1)) * 1_000).rounded() / 10) %"
}
print("DirectSocket saves \(saved(.direct, .channel)) of a delivery")
try await server.close().get()
