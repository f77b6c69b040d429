import Broadcast
import NIOCore
import Synchronization
import Tablecast
import WebSocketTransport
import WireProtocol

/// Where a client of an event stream resumes: what the stream sends as `id`, and a browser returns as `Last-Event-ID`.
struct ResumePoint: CustomStringConvertible {
    var position: Position
    /// The subscriptions, or the live query, that received everything up to it.
    var subscriptions: [String]

    var description: String {
        subscriptions.isEmpty ? "\(position)" : "\(position) \(subscriptions.joined(separator: ","))"
    }

    /// The position and the subscriptions of a `Last-Event-ID`, or of `since` in an address.
    static func parts(_ text: String) -> (position: String, subscriptions: [String]?) {
        let parts = text.split(separator: " ", maxSplits: 1)
        return (String(parts.first ?? ""), parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : nil)
    }
}

/// One client of `GET /events`: the hub's messages as Server-Sent Events. Confined to its event loop.
///
/// Source: [Server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html).
final class EventStream: OutboundConnection {
    static let serverSentEvents = FrameEncoding(name: "server-sent-events") { message in
        let subscriptions = message.subscription.map { [$0] } ?? []
        return lines(
            message,
            id: message.resumePosition.map { ResumePoint(position: $0, subscriptions: subscriptions) }
        )
    }

    /// The encoding of a stream with several subscriptions. When the last message of one arrives, messages of another may still be
    /// missing, so only the messages about all of them have an `id`. They are the same for all such streams, the `id` is not.
    static func serverSentEvents(of subscriptions: [String]) -> FrameEncoding {
        FrameEncoding(name: "server-sent-events of several", isShared: false) { message in
            let isEnd = [.transactionEnd, .subscribed].contains(message.type)
            guard isEnd, let position = message.resumePosition else { return message.framed(for: withoutPositions) }
            return lines(message, id: ResumePoint(position: position, subscriptions: subscriptions))
        }
    }

    /// The encoding of a stream with a live query, whose id is in its first message. `query:reached` is the same for all streams, its
    /// `id` is not.
    static func serverSentEventsOfLiveQuery() -> FrameEncoding {
        let query = Mutex<String?>(nil)
        return FrameEncoding(name: "server-sent-events of a live query", isShared: false) { message in
            guard message.subscription == nil, let position = message.resumePosition else {
                query.withLock { $0 = message.subscription ?? $0 }
                return message.framed(for: serverSentEvents)
            }
            let subscriptions = query.withLock { $0 }.map { [$0] } ?? []
            return lines(message, id: ResumePoint(position: position, subscriptions: subscriptions))
        }
    }

    private static let withoutPositions = FrameEncoding(name: "server-sent-events without positions") { message in
        lines(message, id: nil)
    }

    /// One message per line, as JSON.
    static let lines = FrameEncoding(name: "lines") { message in
        var line = ByteBuffer()
        line.writeImmutableBuffer(message.json)
        line.writeString("\n")
        return line
    }

    /// The lines of a message: its type, its position where a client can resume, the envelope.
    private static func lines(_ message: EncodedMessage, id: ResumePoint?) -> ByteBuffer {
        var lines = ByteBuffer()
        // An application's own type could contain a line break.
        if message.type.isWellFormed { lines.writeString("event: \(message.type.rawValue)\n") }
        if let id { lines.writeString("id: \(id)\n") }
        // JSON has line breaks only between tokens, and escapes them within strings.
        lines.writeString("data: ")
        lines.writeImmutableBuffer(message.json)
        lines.writeString("\n\n")
        return lines
    }

    let eventLoop: any EventLoop
    let frameEncoding: FrameEncoding
    private let server: WebSocketServer
    private var hub: Hub { server.hub }
    private let pipe: ResponsePipe
    private let identity: Identity
    private let address: ClientAddress?
    private var client: ClientID?
    private var keepAlive: RepeatedTask?
    private var expiry: Scheduled<Void>?
    /// Called once, when the stream ends.
    private var whenEnded: (() -> Void)?

    init(
        server: WebSocketServer,
        pipe: ResponsePipe,
        identity: Identity,
        address: ClientAddress?,
        frameEncoding: FrameEncoding,
        eventLoop: any EventLoop
    ) {
        self.frameEncoding = frameEncoding
        self.server = server
        self.pipe = pipe
        self.identity = identity
        self.address = address
        self.eventLoop = eventLoop
    }

    var queuedBytes: Int { pipe.queuedBytes }

    /// Starts the stream, as one of the connections that the server has already counted. Call it on the event loop.
    func open(_ requests: [SubscribeRequest], keepAliveInterval: TimeAmount) throws(ProtocolError) {
        let client = hub.connect(self, owner: identity.id, channels: [], restriction: identity.restriction)
        self.client = client
        do throws(ProtocolError) {
            for request in requests { try server.subscribe(client, of: identity, to: request) }
        } catch {
            end()
            throw error
        }
        begin(keepAliveInterval: keepAliveInterval)
    }

    /// Starts a live query, like ``open(_:keepAliveInterval:)``. `opened` is called once, on any thread, with the error
    /// if there is one; the stream has ended then.
    func open(
        _ query: LiveQueryRequest,
        of service: TablecastService,
        keepAliveInterval: TimeAmount?,
        opened: @escaping @Sendable (ProtocolError?) -> Void
    ) {
        let client = hub.connect(self, owner: identity.id, channels: [])
        self.client = client
        let live = LiveClient(id: client, identity: identity)
        whenEnded = { service.leftQueries(live) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        do throws(ProtocolError) {
            try service.subscribe(query, for: live) { error in
                if error != nil { bound.eventLoop.execute { bound.value.end() } }
                opened(error)
            }
        } catch {
            end()
            opened(error)
            return
        }
        begin(keepAliveInterval: keepAliveInterval)
    }

    private func begin(keepAliveInterval: TimeAmount?) {
        server.metrics.connectionOpened(.eventStream)
        let pipe = pipe
        if let keepAliveInterval {
            keepAlive = eventLoop.scheduleRepeatedTask(initialDelay: keepAliveInterval, delay: keepAliveInterval) { _ in
                pipe.write(ByteBuffer(string: ": keep-alive\n\n"))
            }
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        pipe.onDrain { bound.eventLoop.execute { bound.value.drained() } }
        pipe.onCancel { bound.eventLoop.execute { bound.value.end() } }
        watchExpiry()
        if let client {
            server.opened(
                ConnectionRegistry.Entry(
                    client: client,
                    name: MessageID.next(),
                    identity: identity,
                    transport: .eventStream,
                    address: address,
                    connectedAt: UnixTime.milliseconds
                )
            )
        }
    }

    /// Sends an error and ends the stream when the token expires: event streams have no close codes.
    private func watchExpiry() {
        guard let client, let rest = identity.timeUntilExpiryCheck else { return }
        guard rest > .zero else {
            let expired = AccessRefusal.expired
            let header = EnvelopeHeader(.error, channel: .notifications)
            hub.send(EncodedMessage(header, ErrorPayload(message: expired.reason, code: expired.code)), to: client)
            hub.close(client, .unauthorized, reason: expired.reason)
            return
        }
        expiry = eventLoop.assumeIsolated().scheduleTask(in: rest) { [weak self] in self?.watchExpiry() }
    }

    func write(_ frames: ByteBuffer) -> Int {
        pipe.write(frames)
        return pipe.queuedBytes
    }

    func close(_ code: CloseCode, reason: String) {
        if code == .tooSlow {
            pipe.cancel()
        } else {
            pipe.finish()
        }
        end()
    }

    private func drained() {
        if let client, pipe.queuedBytes == 0 { hub.drained(client) }
    }

    private func end() {
        keepAlive?.cancel()
        keepAlive = nil
        expiry?.cancel()
        guard let client else { return }
        self.client = nil
        whenEnded?()
        whenEnded = nil
        server.closed(client)
        hub.disconnect(client)
        server.mount.clients.leave()
    }
}
