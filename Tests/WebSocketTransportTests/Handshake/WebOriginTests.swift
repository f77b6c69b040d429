import Testing

@testable import WebSocketTransport

@Suite struct WebOriginTests {
    @Test(arguments: [
        ("https://app.example", ["HTTPS://App.Example", "https://app.example/", "https://app.example:443"]),
        ("http://[::1]:3001", ["http://[::1]:3001/", "HTTP://[::1]:03001"]),
        ("http://localhost", ["http://localhost:80"]),
    ])
    func `what names the same origin is equal`(text: String, others: [String]) throws {
        let origin = try #require(WebOrigin(text))
        for other in others { #expect(WebOrigin(other) == origin) }
    }

    @Test func `another scheme, host or port is another origin`() {
        let origins = ["http://a", "https://a", "http://b", "http://a:8080", "http://a:443"].compactMap {
            WebOrigin($0)
        }
        #expect(Set(origins).count == 5)
    }

    @Test(arguments: [
        "", "null", "example.org", "https://", "https://a/path", "https://a//", "https://a?b", "https://a#b", "ftp://a",
        "https://u@a", "https://a:", "https://a:0", "https://a:65536", "https://a:b", "https://a b", "http://[::1", "*",
    ])
    func `a value that no page has as its origin is rejected`(text: String) {
        #expect(WebOrigin(text) == nil)
    }
}
