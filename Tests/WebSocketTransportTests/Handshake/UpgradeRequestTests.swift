import NIOHTTP1
import Testing

@testable import WebSocketTransport

@Suite struct UpgradeRequestTests {
    private func head(
        _ uri: String = "/ws",
        method: HTTPMethod = .GET,
        version: HTTPVersion = .http1_1,
        without removed: [String] = [],
        _ changes: HTTPHeaders = [:]
    ) -> HTTPRequestHead {
        var headers: HTTPHeaders = [
            "Host": "localhost:3001", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ]
        for name in removed { headers.remove(name: name) }
        for (name, value) in changes { headers.replaceOrAdd(name: name, value: value) }
        return HTTPRequestHead(version: version, method: method, uri: uri, headers: headers)
    }

    private func decide(
        _ head: HTTPRequestHead,
        _ policy: UpgradePolicy = UpgradePolicy(),
        isSecure: Bool = false,
        isLoopback: Bool = false
    ) -> (status: UInt, headers: HTTPHeaders) {
        let decision = UpgradeRequest.decide(
            head,
            policy: policy,
            isSecure: isSecure,
            isLoopback: isLoopback
        )
        switch decision {
        case .accept(let acceptance): return (101, acceptance.headers)
        case .refuse(let refusal): return (refusal.status.code, refusal.headers)
        }
    }

    @Test func `the example of the RFC is accepted with its answer`() {
        let answer = decide(head("/ws?channels=tables"))
        #expect(answer.status == 101)
        #expect(answer.headers["Sec-WebSocket-Accept"] == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="])
        #expect(answer.headers["Upgrade"] == ["websocket"] && answer.headers["Connection"] == ["Upgrade"])
        #expect(answer.headers["Sec-WebSocket-Protocol"].isEmpty && answer.headers["Sec-WebSocket-Extensions"].isEmpty)
    }

    @Test func `tokens are not case-sensitive and may stand in lists`() {
        #expect(decide(head(["Upgrade": "h2c, WebSocket", "Connection": "UPGRADE"])).status == 101)
    }

    @Test func `what is missing or wrong is refused with the status that names it`() {
        #expect(decide(head("/other")).status == 404)
        #expect(decide(head("/ws/")).status == 404)
        #expect(decide(head(method: .POST)).status == 405)
        #expect(decide(head(version: .http1_0)).status == 400)
        #expect(decide(head(without: ["Upgrade"])).status == 426)
        #expect(decide(head(without: ["Connection"])).status == 400)
        #expect(decide(head(without: ["Sec-WebSocket-Key"])).status == 400)
        #expect(decide(head(["Sec-WebSocket-Key": "c2hvcnQ="])).status == 400)
        #expect(decide(head(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j!Q=="])).status == 400)
    }

    @Test(arguments: ["8", "14", "", "13, 8"])
    func `another version gets 426 with the one that is spoken`(version: String) {
        let answer = decide(head(["Sec-WebSocket-Version": version]))
        #expect(answer.status == 426 && answer.headers["Sec-WebSocket-Version"] == ["13"])
    }

    @Test func `the subprotocol is selected when it is offered`() {
        let answer = decide(head(["Sec-WebSocket-Protocol": "chat, tablecast.v2"]))
        #expect(answer.headers["Sec-WebSocket-Protocol"] == ["tablecast.v2"])
        let other = decide(head(["Sec-WebSocket-Protocol": "chat"]))
        #expect(other.status == 101 && other.headers["Sec-WebSocket-Protocol"].isEmpty)
    }

    @Test func `at the limit of connections it is 503 with a time to come back`() {
        let policy = UpgradePolicy(maxConnections: 3, retryAfterSeconds: 7)
        let clients = ClientCount()
        for _ in 0..<3 { #expect(throws: Never.self) { try clients.enter(policy) } }
        let refusal = #expect(throws: UpgradeRefusal.self) { try clients.enter(policy) }
        #expect(refusal?.status == .serviceUnavailable && refusal?.headers["Retry-After"] == ["7"])
        clients.leave()
        #expect(throws: Never.self) { try clients.enter(policy) }
    }

    @Test(
        arguments: [
            ("http://localhost:3001", 101), ("HTTP://LOCALHOST:3001", 101), ("https://localhost:3001", 101),
            ("http://localhost", 403), ("http://localhost:3002", 403), ("http://evil.example", 403), ("null", 403),
            ("http://localhost:3001.evil.example", 403), ("http://evil.example/http://localhost:3001", 403),
            ("file://", 403),
            ("http://", 403), ("", 403),
        ] as [(String, UInt)]
    )
    func `pages of the same origin may connect and others may not`(origin: String, status: UInt) {
        #expect(decide(head(["Origin": origin])).status == status)
    }

    @Test func `over TLS a plain page is another origin`() {
        #expect(decide(head(["Origin": "http://localhost:3001"]), isSecure: true).status == 403)
        #expect(decide(head(["Origin": "https://localhost:3001"]), isSecure: true).status == 101)
        #expect(decide(head(["Origin": "https://h", "Host": "h:443"]), isSecure: true).status == 101)
    }

    @Test(
        arguments: [
            ("localhost:3001", 101), ("LocalHost", 101), ("127.0.0.1:3001", 101), ("127.8.9.10", 101),
            ("[::1]:3001", 101),
            ("rebound.example:3001", 403), ("127.0.0.1.example:3001", 403), ("localhost.example", 403),
            ("[::2]:3001", 403),
            ("127.0.0.999", 403),
        ] as [(String, UInt)]
    )
    func `on a loopback address a name that a stranger could point there is no origin of ours`(
        host: String,
        status: UInt
    ) {
        let origin: HTTPHeaders = ["Host": host, "Origin": "http://\(host)"]
        #expect(decide(head(origin), isLoopback: true).status == status)
        #expect(decide(head(origin), isLoopback: false).status == 101)
        let policy = UpgradePolicy(origins: .sameAnd(Set([WebOrigin("http://\(host)")].compactMap(\.self))))
        #expect(decide(head(origin), policy, isLoopback: true).status == 101)
    }

    @Test(arguments: ["http", "https"])
    func `a server for its own machine answers to its names and those of its origins`(scheme: String) throws {
        let origin = try #require(WebOrigin("\(scheme)://App.Example/"))
        let policy = UpgradePolicy(origins: .sameAnd([origin]))
        let own = scheme == "http" ? "app.example:80" : "app.example:443"
        for (host, status) in [("localhost", 101), ("APP.example", 101), (own, 101), ("stranger.example", 403)] {
            let headers: HTTPHeaders = ["Host": host]
            #expect(decide(head(headers), policy, isLoopback: true).status == status)
            #expect(decide(head(headers), policy, isLoopback: false).status == 101)
            if status == 101 {
                #expect(throws: Never.self) { try policy.check(headers, isSecure: false) }
            } else {
                #expect(throws: UpgradeRefusal.self) { try policy.check(headers, isSecure: false) }
            }
        }
        let everywhere = UpgradePolicy(origins: .sameAnd([origin]), isForThisMachine: false)
        #expect(decide(head(["Host": "stranger.example"]), everywhere, isLoopback: true).status == 101)
    }

    @Test func `configured origins may connect`() {
        let policy = UpgradePolicy(origins: .sameAnd(Set([WebOrigin("https://app.example:443")].compactMap(\.self))))
        #expect(decide(head(["Origin": "https://app.example"]), policy).status == 101)
        #expect(decide(head(["Origin": "http://app.example"]), policy).status == 403)
        #expect(decide(head(["Origin": "http://localhost:3001"]), policy).status == 101)
        #expect(decide(head(["Origin": "null"]), UpgradePolicy(origins: .any)).status == 101)
    }

    @Test func `compression is agreed on when it is offered and allowed`() {
        let offer: HTTPHeaders = ["Sec-WebSocket-Extensions": "x-webkit-deflate-frame, permessage-deflate"]
        let answer = decide(head(offer)).headers["Sec-WebSocket-Extensions"]
        #expect(answer == ["permessage-deflate; server_no_context_takeover; client_no_context_takeover"])
        #expect(
            decide(head(offer), UpgradePolicy(allowsCompression: false)).headers["Sec-WebSocket-Extensions"].isEmpty
        )
    }

    private func head(_ changes: HTTPHeaders) -> HTTPRequestHead { head("/ws", changes) }
}
