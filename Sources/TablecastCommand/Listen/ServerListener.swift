import NIOCore
import WebSocketTransport
import WireProtocol

/// Listens to a server's channels for the life of the process, over as many connections as needed.
struct ServerListener: Sendable {
    let connection: ServerConnection
    let output: ListenOutput
    var session: ListenSession
    private var backoff = Backoff()

    init(connection: ServerConnection, output: ListenOutput, session: ListenSession) {
        self.connection = connection
        self.output = output
        self.session = session
    }

    mutating func run() async throws {
        // The first failure is probably a mistake in the address: report it instead of retrying forever.
        var open = try await connection.open()
        while true {
            guard try await read(open) else { return }
            try check(await open.status)
            open = try await reconnect()
        }
    }

    /// Prints messages until the connection ends; returns false when the reader of the output has disconnected.
    private mutating func read(_ connection: WebSocketConnection) async throws -> Bool {
        for await text in connection.messages {
            guard let message = try? Envelope(parsing: text.utf8) else {
                output.warn("the server sent a message that this version cannot parse")
                continue
            }
            for action in session.received(message) {
                switch action {
                case .send(let json):
                    // The loop detects a connection that has ended.
                    try? await connection.send(String(decoding: json, as: UTF8.self))
                case .print:
                    guard try output.print(message, text) else { return false }
                case .report(let notice):
                    backoff.reset()
                    output.report(notice)
                case .stop(let failure):
                    throw failure
                }
            }
        }
        return true
    }

    /// Throws when the server does not want this client to reconnect.
    private func check(_ status: CloseStatus) throws {
        guard let code = CloseCode(rawValue: status.code) else { return }
        guard code.reconnect == .no, code != .normal else { return }
        throw CommandFailure(
            code == .unauthorized || code == .forbidden ? .noPermission : .protocolError,
            "the server closed the connection with code \(status.code)\(status.reason.isEmpty ? "" : ": \(status.reason)")"
        )
    }

    private mutating func reconnect() async throws -> WebSocketConnection {
        while true {
            let wait = backoff.next(spread: .random(in: 0...1))
            output.warn("connection lost, reconnecting in \(Figures.seconds(wait))")
            try await Task.sleep(for: wait)
            do {
                return try await connection.open()
            } catch let failure as CommandFailure where failure.status == .unavailable {
                continue
            }
        }
    }
}

/// The state of `listen` over its successive connections: decides on actions, and the caller performs them.
struct ListenSession: Sendable {
    enum Action: Sendable, Hashable {
        case send([UInt8])
        /// Print the received message.
        case print
        /// Print a notice about the connection to stderr.
        case report(Notice)
        case stop(CommandFailure)
    }

    /// A notice about the feed itself.
    enum Notice: Sendable, Hashable {
        case connected(database: String?, position: Position?)
        /// Reconnected, with all transactions that happened meanwhile.
        case resumed
        /// Reconnected, without the transactions that happened meanwhile.
        case missed
    }

    private let channels: [MessageChannel]
    private let subscription: [String: JSONValue]
    /// Whether responses to requests are printed too, for a program that reads the output.
    private let isVerbatim: Bool
    private var feed: FeedPosition
    private var connections = 0

    init(channels: [MessageChannel], subscription: [String: JSONValue], since: String?, isVerbatim: Bool = false) {
        self.channels = channels
        self.subscription = subscription
        self.isVerbatim = isVerbatim
        feed = FeedPosition(since: since)
    }

    mutating func received(_ message: Envelope) -> [Action] {
        let answer: [Action] = isVerbatim ? [.print] : []
        switch message.payload {
        case .connectionAck(let acknowledgement):
            connections += 1
            let notice = Notice.connected(database: acknowledgement.database, position: acknowledgement.position)
            return answer + (connections == 1 ? [.report(notice)] : []) + channels.map { .send(subscribe(to: $0)) }
        case .subscribed(let subscribed) where subscribed.channel == .tables:
            let isBack = connections > 1
            feed.subscribed(at: subscribed.position?.description, recovered: subscribed.recovered)
            switch subscribed.recovered {
            case true?: return answer + (isBack ? [.report(.resumed)] : [])
            case false?: return answer + [.report(.missed)]
            case nil: return answer + (isBack ? [.report(.missed)] : [])
            }
        case .subscribed, .unsubscribed:
            return answer
        case .heartbeat:
            return []
        case .error(let error) where message.header.replyTo.flatMap(MessageChannel.init(rawValue:)) != nil:
            return [.stop(CommandFailure(.failure, "the server refused: \(error.message) (\(error.code))"))]
        default:
            return isNews(message) ? [.print] : []
        }
    }

    private mutating func isNews(_ message: Envelope) -> Bool {
        // Every client receives notifications; they are printed only when requested.
        guard channels.contains(message.header.channel) || message.header.type == .error else { return false }
        guard message.header.channel == .tables, let position = message.header.position else { return true }
        return feed.received(position.description, isLast: message.payload.isLastOfTransaction)
    }

    private func subscribe(to channel: MessageChannel) -> [UInt8] {
        guard channel == .tables else { return ClientRequest.subscribe(to: channel) }
        var data = subscription
        data["since"] = feed.complete.map { .string($0) }
        return ClientRequest.subscribe(to: channel, data: data)
    }
}

extension ServerPayload {
    fileprivate var isLastOfTransaction: Bool {
        switch self {
        case .tableCreated(let event): event.context.transaction?.isLast ?? true
        case .tableModified(let event): event.context.transaction?.isLast ?? true
        case .tableDropped(let event): event.context.transaction?.isLast ?? true
        default: true
        }
    }
}

/// The wait before the next attempt to connect: doubled each time up to a limit, and randomized, so that the clients of
/// a restarted server do not all reconnect at the same time.
struct Backoff: Sendable {
    static let firstWait: Duration = .milliseconds(250)
    static let maxWait: Duration = .seconds(15)

    /// Attempts that failed since the last ``reset()``.
    private(set) var attempts = 0

    /// - Parameter spread: From 0 to 1; a random number of the caller.
    mutating func next(spread: Double) -> Duration {
        let full = min(Self.firstWait * (1 << min(attempts, 10)), Self.maxWait)
        attempts += 1
        // Between half of the wait and all of it.
        return full * (0.5 + min(max(spread, 0), 1) / 2)
    }

    /// The connection succeeded.
    mutating func reset() { attempts = 0 }
}
