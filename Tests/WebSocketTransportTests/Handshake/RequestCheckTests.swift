import NIOHTTP1
import Testing

@testable import WebSocketTransport

@Suite struct RequestCheckTests {
    private func status(
        _ headers: [(String, String)],
        uri: String = "/",
        method: HTTPMethod = .GET,
        version: HTTPVersion = .http1_1
    ) -> Int {
        let head = HTTPRequestHead(version: version, method: method, uri: uri, headers: HTTPHeaders(headers))
        do throws(UpgradeRefusal) {
            _ = try RequestCheck.checked(head)
            return 200
        } catch {
            return Int(error.status.code)
        }
    }

    @Test(
        arguments: [
            (.headerOverflow, 431, "longer than 16384 bytes"), (.invalidMethod, 400, "its method is unknown"),
            (.invalidVersion, 400, "HTTP/1.1"), (.invalidContentLength, 400, "'Content-Length' must be a number"),
            (.unexpectedContentLength, 400, "one 'Content-Length'"), (.invalidHeaderToken, 400, "invalid character"),
            (.unknown, 400, "not an HTTP/1.1 request."),
        ] as [(HTTPParserError, Int, String)]
    )
    func `a request that cannot be parsed is refused with what is known of the reason`(
        error: HTTPParserError,
        status: Int,
        reason: String
    ) {
        let refusal = UpgradeRefusal(parsing: error)
        #expect(Int(refusal.status.code) == status)
        #expect(refusal.reason.contains(reason), "\(refusal.reason)")
    }

    @Test(arguments: [
        "localhost", "localhost:3001", "LOCALHOST", "127.0.0.1:80", "[::1]", "[::1]:3001", "a-b.example.org.",
        "under_score",
        "xn--nxasmq6b:1", " localhost ",
    ]) func `a valid host is taken`(_ host: String) {
        #expect(status([("Host", host)]) == 200)
    }

    @Test(arguments: [
        "", "localhost:evil", "localhost:", ":80", "localhost:65536", "localhost:-1", "localhost:80:80", "a b", "a/b",
        "user@host",
        "[::1", "[evil]", "[::1]x", "::1", "http://localhost", "localhost#", "lo\u{7f}cal",
    ]) func `an invalid host is refused`(_ host: String) {
        #expect(status([("Host", host)]) == 400)
    }

    @Test func `a request has one host, and only HTTP/1.0 may have none`() {
        #expect(status([]) == 400)
        #expect(status([("Host", "a"), ("Host", "a")]) == 400)
        #expect(status([], version: .http1_0) == 200)
        #expect(status([("Host", "a"), ("host", "b")], version: .http1_0) == 400)
    }

    @Test func `a body has one length`() {
        let host = ("Host", "a")
        #expect(status([host, ("Content-Length", "5")]) == 200)
        #expect(status([host, ("Transfer-Encoding", "Chunked")]) == 200)
        for length in ["", "+5", "-5", "0x5", "5, 5", "5 5", "99999999999999999999", "٥"] {
            #expect(status([host, ("Content-Length", length)]) == 400, "\(length)")
        }
        #expect(status([host, ("Content-Length", "5"), ("Content-Length", "5")]) == 400)
        #expect(status([host, ("Content-Length", "5"), ("Transfer-Encoding", "chunked")]) == 400)
        #expect(status([host, ("Transfer-Encoding", "chunked")], version: .http1_0) == 400)
        for coding in ["gzip, chunked", "identity", "xchunked", "chunked, chunked", ""] {
            #expect(status([host, ("Transfer-Encoding", coding)]) == 501, "\(coding)")
        }
        #expect(status([host, ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")]) == 501)
    }

    @Test func `a target in absolute form is reduced to its path, and contains the host`() throws {
        for (target, path) in [
            ("http://service.example:80/tables?name=a", "/tables?name=a"), ("HTTPS://service.example:80", "/"),
            ("http://service.example:80?a=b", "/?a=b"),
        ] {
            let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target, headers: ["Host": "other"])
            let checked = try RequestCheck.checked(head)
            #expect(checked.uri == path)
            #expect(checked.headers["Host"] == ["service.example:80"])
        }
    }

    @Test func `other targets are refused`() {
        let host = [("Host", "a")]
        for target in [
            "", "tables", "http:/tables", "ftp://a/b", "http://", "http://a b/", "/tables#rows", "*", "http://u@a/",
        ] {
            #expect(status(host, uri: target) == 400, "\(target)")
        }
        #expect(status(host, uri: "*", method: .OPTIONS) == 200)
        #expect(status(host, uri: "a:80", method: .CONNECT) == 501)
    }
}
