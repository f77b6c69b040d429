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
        let body = try await request.body(upTo: relay.server.configuration.limits.http.maxQueryBodyBytes)
        let forwarded = Forwarded(
            request: request,
            body: body,
            identity: identity,
            share: identity.share(from: ClientConnection.current?.address)
        )
        let pipe = ResponsePipe()
        func beginning() async -> Beginning {
            await withCheckedContinuation { continuation in
                do throws(ProtocolError) {
                    let task = try relay.startRequest { await forward(forwarded, to: pipe, continuation) }
                    pipe.onCancel { task.cancel() }
                } catch {
                    continuation.resume(returning: .refused(.failure(.serviceUnavailable, error.code, error.message)))
                }
            }
        }
        // On another server the body of the response notices it: the connection can be read to its end only once.
        let begun =
            if let client = ClientConnection.current {
                await client.notifying(onEnd: { pipe.cancel() }, beginning)
            } else {
                await beginning()
            }
        switch begun {
        case .refused(let response): return response
        case .begun(let status, var headers):
            headers.append(contentsOf: Request.connectionHeaders)
            return Response(status: status, headers: headers, body: pipe.body(of: request))
        }
    }

    private struct Forwarded: Sendable {
        let request: Request
        let body: ByteBuffer
        let identity: Identity
        let share: String?
    }

    private enum Beginning: Sendable {
        case refused(Response)
        case begun(HTTPResponse.Status, HTTPFields)
    }

    private static let lost = ProtocolError(
        .databaseGone,
        "the connection of this relay to its source was lost; try again"
    )

    /// Resumes `beginning` with the head of the answer, then writes its body. A cancelled task has lost its source, or its client.
    private func forward(
        _ forwarded: Forwarded,
        to pipe: ResponsePipe,
        _ beginning: CheckedContinuation<Beginning, Never>
    ) async {
        let answer: HTTPClientResponse
        do {
            let (outgoing, client) = try outgoing(forwarded)
            answer = try await client.execute(outgoing, timeout: Self.timeout)
        } catch let error as ProtocolError {
            return beginning.resume(returning: .refused(.failure(error)))
        } catch {
            let failure =
                Task.isCancelled
                ? Self.lost : ProtocolError(.databaseGone, "the source did not answer: \(error)")
            return beginning.resume(returning: .refused(.failure(failure)))
        }
        var headers = HTTPFields()
        for name in Self.responseHeaders { headers[name] = answer.headers.first(name: name.rawName) }
        beginning.resume(returning: .begun(HTTPResponse.Status(code: Int(answer.status.code)), headers))

        var stream = SourceStream(contentType: headers[.contentType])
        let isWhole = await write(answer.body, to: pipe, through: &stream)
        if let stream {
            if let ending = stream.ending(Self.lost) { pipe.write(ending) }
            pipe.finish()
        } else if isWhole {
            pipe.finish()
        } else {
            pipe.breakOff()
        }
    }

    /// Whether the source sent all of it.
    private func write(
        _ body: HTTPClientResponse.Body,
        to pipe: ResponsePipe,
        through stream: inout SourceStream?
    ) async -> Bool {
        let (drained, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        pipe.onDrain { signal.yield() }
        let maxQueuedBytes = relay.server.configuration.limits.http.maxQueuedBytes
        var drains = drained.makeAsyncIterator()
        do {
            for try await bytes in body {
                guard let whole = stream == nil ? bytes : stream?.receive(bytes) else { continue }
                var queued = pipe.write(whole)
                while queued > maxQueuedBytes {
                    // Nil when the task was cancelled.
                    guard await drains.next() != nil else { return false }
                    queued = pipe.queuedBytes
                }
            }
            return !Task.isCancelled
        } catch {
            return false
        }
    }

    private func outgoing(_ forwarded: Forwarded) throws(ProtocolError) -> (HTTPClientRequest, HTTPClient) {
        let request = forwarded.request
        let source = try relay.source(for: forwarded.identity, share: forwarded.share)
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
        if forwarded.body.readableBytes > 0 { outgoing.body = .bytes(forwarded.body) }
        return (outgoing, source.acceptsAnyCertificate ? Self.trustingClient : Self.client)
    }

    // Both live as long as the process.
    private static let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    /// For a source with any certificate.
    private static let trustingClient: HTTPClient = {
        var configuration = Self.configuration
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.certificateVerification = .none
        configuration.tlsConfiguration = tls
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    private static let configuration: HTTPClient.Configuration = {
        var configuration = HTTPClient.Configuration.singletonConfiguration
        // The relay itself limits the requests: none waits until a stream of another client ends.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = RelayService.maxHTTPRequests
        // Each idle connection counts at the source, also one whose client left before the request was sent.
        configuration.connectionPool.idleTimeout = .seconds(15)
        // A query can run, and a live query can be without changes, for any time: the relay finds out that the source is silent.
        configuration.timeout.read = nil
        return configuration
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
