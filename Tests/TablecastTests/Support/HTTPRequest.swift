import NIOCore
import NIOPosix
import Testing

/// A request with as few layers in between as possible.
struct HTTPRequest {
    let port: Int
    let path: String
    var method = "GET"

    /// The body of the response; a status other than 200 fails the test.
    func body() async throws -> String {
        let response = try await response()
        #expect(response.hasPrefix("HTTP/1.1 200"))
        let end = try #require(response.firstRange(of: "\r\n\r\n"))
        return String(response[end.upperBound...])
    }

    /// All of it.
    func response() async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let request = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\r\n"
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            return try await inbound.reduce(into: "") { $0 += String(buffer: $1) }
        }
    }
}
