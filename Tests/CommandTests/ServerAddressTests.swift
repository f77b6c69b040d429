import Testing

@testable import TablecastCommand

struct ServerAddressTests {
    @Test(arguments: [
        ("ws://127.0.0.1:3001/ws", "ws://127.0.0.1:3001/ws"),
        ("http://localhost", "ws://localhost:3001/ws"),
        ("wss://db.example.com", "wss://db.example.com:443/ws"),
        ("http://db.example.com/live/", "ws://db.example.com:80/live/"),
        ("db:4000", "ws://db:4000/ws"),
        (":4000", "ws://127.0.0.1:4000/ws"),
        ("[::1]:4000", "ws://[::1]:4000/ws"),
        ("wss://[::1]", "wss://[::1]:3001/ws"),
        ("WS://host:1/a?b=c", "ws://host:1/a?b=c"),
    ])
    func `what people type becomes an address`(text: String, address: String) throws {
        #expect(try ServerAddress(parsing: text).description == address)
    }

    @Test(arguments: [
        "ftp://host", "host:0", "host:99999", "host:x", "[::1", "::1:3001", "ws://me:secret@host", "", "ws://", "/ws",
    ])
    func `what is no address is refused as wrong usage`(text: String) {
        let failure = #expect(throws: CommandFailure.self) { try ServerAddress(parsing: text) }
        #expect(failure?.status == .usage)
    }

    @Test(arguments: [
        ("ws://x", true), ("host:3001", true), (":3001", true), ("my.db", false), ("./a:b.db", false),
        ("/x/y:3001", false),
        ("localhost", false),
    ])
    func `an address is distinguished from a file`(text: String, isAddress: Bool) {
        #expect(ServerAddress.looksLikeAddress(text) == isAddress)
    }
}
