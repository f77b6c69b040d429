import AsyncHTTPClient
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOSSL
import Tablecast
import TablecastClient
import TablecastRelay
import WebSocketTransport
import WireProtocol

/// Sends HTTP requests of a relay's clients to the source, with the rights of the client, and streams the answers back.
struct RelayProxy {
    let relay: RelayService

    /// The headers of requests and answers that are passed on.
    private static let requestHeaders: [HTTPField.Name] = [.accept, .contentType, .lastEventID]
    private static let responseHeaders: [HTTPField.Name] = [.contentType, .cacheControl, .retryAfter]
    /// How long the source may take to begin its answer.
    private static let timeout = TimeAmount.minutes(10)

    func respond(to request: Request, from identity: Identity) async throws -> Response {
        var request = request
        let (outgoing, client): (HTTPClientRequest, HTTPClient)
        do throws(ProtocolError) {
            (outgoing, client) = try await self.outgoing(&request, identity)
        } catch {
            return .failure(error)
        }
        let answer: HTTPClientResponse
        do {
            answer = try await client.execute(outgoing, timeout: Self.timeout)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            return .failure(.serviceUnavailable, .databaseGone, "the source did not answer: \(error)")
        }
        var headers = HTTPFields()
        for name in Self.responseHeaders { headers[name] = answer.headers.first(name: name.rawName) }
        return Response(
            status: HTTPResponse.Status(code: Int(answer.status.code)),
            headers: headers,
            body: ResponseBody(asyncSequence: answer.body)
        )
    }

    private func outgoing(
        _ request: inout Request,
        _ identity: Identity
    ) async throws(ProtocolError) -> (HTTPClientRequest, HTTPClient) {
        let source = try relay.source(for: identity, share: identity.share(from: ClientConnection.current?.address))
        guard let url = Self.url(source.address, request.uri.string) else {
            throw ProtocolError(.invalidMessage, "the address: expected a path and a query string")
        }
        var outgoing = HTTPClientRequest(url: url)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        for name in Self.requestHeaders where request.headers[name] != nil {
            outgoing.headers.add(name: name.rawName, value: request.headers[name] ?? "")
        }
        if let token = source.token { outgoing.headers.add(name: "Authorization", value: "Bearer \(token)") }
        for (name, value) in source.headers { outgoing.headers.add(name: name, value: value) }
        let limit = relay.server.configuration.limits.http.maxQueryBodyBytes
        let body: ByteBuffer
        do {
            body = try await request.body(upTo: limit)
        } catch {
            throw ProtocolError(.tooBig, "the body: expected at most \(limit) bytes, all of them")
        }
        if body.readableBytes > 0 { outgoing.body = .bytes(body) }
        return (outgoing, source.acceptsAnyCertificate ? Self.trustingClient : HTTPClient.shared)
    }

    /// For a source with any certificate. It lives as long as the process, like the shared one.
    private static let trustingClient: HTTPClient = {
        var configuration = HTTPClient.Configuration.singletonConfiguration
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.certificateVerification = .none
        configuration.tlsConfiguration = tls
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// The address of the request at the source, without the client's token.
    private static func url(_ webSocket: String, _ target: String) -> String? {
        guard var source = URLComponents(string: webSocket), let request = URLComponents(string: target) else {
            return nil
        }
        source.scheme = source.scheme == "wss" ? "https" : "http"
        source.percentEncodedPath = request.percentEncodedPath
        let query = (request.percentEncodedQuery ?? "").split(separator: "&")
            .filter { !$0.hasPrefix("access_token=") }
        source.percentEncodedQuery = query.isEmpty ? nil : query.joined(separator: "&")
        return source.string
    }
}
