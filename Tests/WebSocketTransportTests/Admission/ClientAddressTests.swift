import NIOCore
import NIOHTTP1
import Testing

@testable import WebSocketTransport

@Suite struct ClientAddressTests {
    @Test func `an address is read, and written as it is usual`() {
        #expect(ClientAddress("192.0.2.1")?.description == "192.0.2.1")
        #expect(ClientAddress("::ffff:192.0.2.1") == ClientAddress("192.0.2.1"))
        #expect(ClientAddress("2001:db8::1")?.description == "2001:db8:0:0:0:0:0:1")
        for text in ["", "localhost", "192.0.2", "192.0.2.256", "1.2.3.4:80", "[::1]", "::1%lo", "0x7f.1", "1.2.3.4 "] {
            #expect(ClientAddress(text) == nil, "\(text)")
        }
    }

    @Test func `a socket's address is the same as its text`() throws {
        for text in ["127.0.0.1", "203.0.113.77", "::1", "2001:db8:1:2:3:4:5:6"] {
            #expect(ClientAddress(try SocketAddress(ipAddress: text, port: 80)) == ClientAddress(text))
        }
        #expect(ClientAddress(try SocketAddress(unixDomainSocketPath: "/tmp/x")) == nil)
    }

    @Test func `a client has an IPv4 address, or an IPv6 network of 64 bits, to itself`() {
        #expect(ClientAddress("2001:db8::1")?.network == ClientAddress("2001:db8::ffff:1")?.network)
        #expect(ClientAddress("2001:db8::1")?.network != ClientAddress("2001:db8:0:1::1")?.network)
        #expect(ClientAddress("192.0.2.1")?.network != ClientAddress("192.0.2.2")?.network)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("10.1.2.3/8", "10.9.9.9", true),
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.0", false), ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false), ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false), ("::/0", "192.0.2.1", true), ("::1/128", "::1", true),
        ("127.0.0.0/8", "::ffff:127.0.0.9", true),
    ]) func `a network holds its addresses`(_ range: String, _ address: String, _ holds: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try #require(ClientAddress(address))) == holds)
    }

    @Test func `an invalid network is rejected`() {
        for text in [
            "", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129", "proxy",
        ] {
            #expect(AddressRange(text) == nil, "\(text)")
        }
    }

    // MARK: Behind proxies

    private func client(_ headers: HTTPHeaders, peer: String = "10.0.0.1") throws -> String {
        let trusted = try ["10.0.0.0/8", "2001:db8::/32"].map { try #require(AddressRange($0)) }
        return ForwardedClient.address(headers, peer: try #require(ClientAddress(peer)), trusted: trusted).description
    }

    @Test func `the last address that is no trusted proxy's is the client`() throws {
        #expect(try client(["X-Forwarded-For": "198.51.100.7"]) == "198.51.100.7")
        #expect(try client(["X-Forwarded-For": "203.0.113.66, 198.51.100.7, 10.9.9.9"]) == "198.51.100.7")
        #expect(
            try client(["X-Forwarded-For": "203.0.113.66", "x-forwarded-for": "198.51.100.7:4711"]) == "198.51.100.7"
        )
        #expect(
            try client(["Forwarded": "for=203.0.113.66, For=\"198.51.100.7:80\";proto=https;by=10.0.0.1"])
                == "198.51.100.7"
        )
        #expect(try client(["Forwarded": "for=\"[2001:4860::8]:4711\""]) == "2001:4860:0:0:0:0:0:8")
        #expect(try client(["X-Forwarded-For": "2001:4860::8"]) == "2001:4860:0:0:0:0:0:8")
        #expect(try client(["X-Forwarded-For": "10.2.2.2, 10.3.3.3"]) == "10.2.2.2")
    }

    @Test func `only what a trusted proxy has written is believed`() throws {
        #expect(try client(["X-Forwarded-For": "198.51.100.7"], peer: "192.0.2.9") == "192.0.2.9")
        #expect(try client([:]) == "10.0.0.1")
        #expect(try client(["X-Forwarded-For": "nonsense"]) == "10.0.0.1")
        #expect(try client(["X-Forwarded-For": "198.51.100.7, unknown"]) == "10.0.0.1")
        #expect(try client(["Forwarded": "for=_hidden, for=10.0.0.4"]) == "10.0.0.4")
        // One of the two is the client's own.
        #expect(try client(["X-Forwarded-For": "198.51.100.7", "Forwarded": "for=203.0.113.66"]) == "10.0.0.1")
        #expect(try client(["X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7"]) == "198.51.100.7")
    }
}
