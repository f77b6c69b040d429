import NIOHTTP1

/// The client's half of the opening handshake, RFC 6455 section 4.1: the request, and what a right answer is. No I/O.
struct ClientHandshake {
    private let key = WebSocketKey.random()
    private let client: WebSocketClient
    private let url: WebSocketURL

    init(client: WebSocketClient, url: WebSocketURL) {
        self.client = client
        self.url = url
    }

    var request: HTTPRequestHead {
        var headers: HTTPHeaders = [
            "Host": url.hostHeader, "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.text, "Sec-WebSocket-Version": "13",
        ]
        if !client.subprotocols.isEmpty {
            headers.add(name: "Sec-WebSocket-Protocol", value: client.subprotocols.joined(separator: ", "))
        }
        if client.offersCompression {
            headers.add(name: "Sec-WebSocket-Extensions", value: DeflateAgreement.clientOffer)
        }
        headers.add(contentsOf: client.headers)
        return HTTPRequestHead(version: .http1_1, method: .GET, uri: url.target, headers: headers)
    }

    /// Checks a 101 response, and returns what was agreed on about compression.
    func check(_ head: HTTPResponseHead) throws(WebSocketClientError) -> DeflateAgreement? {
        guard HeaderTokens.contain("websocket", in: head.headers["Upgrade"]),
            HeaderTokens.contain("upgrade", in: head.headers["Connection"])
        else {
            throw .invalidHandshake("the headers 'Upgrade' and 'Connection' do not switch to websocket")
        }
        guard head.headers["Sec-WebSocket-Accept"] == [key.accept] else {
            throw .invalidHandshake("the header 'Sec-WebSocket-Accept' does not match the key")
        }
        if let subprotocol = head.headers.first(name: "Sec-WebSocket-Protocol") {
            guard client.subprotocols.contains(subprotocol) else {
                throw .invalidHandshake("it chose the subprotocol '\(subprotocol)', which was not offered")
            }
        }
        let extensions = ExtensionOffer.parse(head.headers["Sec-WebSocket-Extensions"])
        guard let answer = extensions.first else { return nil }
        guard client.offersCompression, extensions.count == 1, let deflate = DeflateAgreement(answer: answer) else {
            throw .invalidHandshake("it uses the extension '\(answer.name)' in a way that was not offered")
        }
        return deflate
    }
}
