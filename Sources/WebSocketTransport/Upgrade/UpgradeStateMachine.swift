import NIOCore
import NIOHTTP1

/// The requests and responses of an HTTP/1 connection that can become a WebSocket: what comes next, what is done with
/// it, and how long it may take.
///
/// Pure: ``HTTPUpgradeHandler`` passes each event with its time, and performs what is returned.
struct UpgradeStateMachine {
    struct Timeouts {
        /// Until the first request is complete.
        var handshake: TimeAmount
        /// Between two requests.
        var keepAlive: TimeAmount
        /// For the next piece of a body; see ``BodyPace``.
        var body: TimeAmount
        /// For the rest of a request after its response, and for an incomplete request at a shutdown.
        var linger: TimeAmount
    }

    private enum State {
        case betweenRequests
        /// A request is being passed on; nothing to do until its end.
        case passing
        /// A request for a WebSocket; its end, or the responses to earlier requests, are missing.
        case asked(HTTPRequestHead, isComplete: Bool)
        case authorizing
        /// An invalid request; the responses to earlier requests are missing.
        case invalid(UpgradeRefusal, isComplete: Bool)
        /// The last response was sent before its request was complete. The rest is read and discarded for a while: if
        /// the connection were closed at once, it would be reset, and the response lost in transit (RFC 9112 section
        /// 9.6).
        case lingering
        /// Frames of a WebSocket follow.
        case switched
        /// Refused or ended.
        case done
    }

    private let timeouts: Timeouts
    private var state = State.betweenRequests
    /// The current request is HEAD: its response has no body.
    private(set) var isHead = false
    /// Whether a request was passed to the HTTP server behind, which then ends the connection itself.
    private(set) var hasPassedRequest = false
    /// Whether the next handler wanted to read while bytes had to stay in the kernel.
    private(set) var holdsRead = false
    private var openResponses = 0
    /// NIO's decoder stops permanently after any request with `Upgrade`, so such a connection must end with its
    /// response.
    private var closesAfterResponses = false
    /// HTTP/1.0 has no chunked coding, and its connections end with the response: RFC 9112 sections 6.1 and 9.3.
    private var speaksHTTP10 = false
    /// When the next request head, or the next piece of its body, must have arrived; nil while a response is in
    /// progress.
    private var deadline: NIODeadline?
    /// When a request that was incomplete at the start of a shutdown must be complete.
    private var quiesceDeadline: NIODeadline?
    private var body: BodyPace

    init(timeouts: Timeouts) {
        self.timeouts = timeouts
        body = BodyPace(patience: timeouts.body)
    }

    /// The connection is open.
    mutating func begin(now: NIODeadline) { deadline = now + timeouts.handshake }

    // MARK: Requests

    /// What the answer to a request needs, once the responses to earlier requests are sent.
    enum Answer: Equatable {
        /// The whole request for a WebSocket has arrived.
        case decide(HTTPRequestHead)
        /// - Parameter lingers: more of the request is still arriving.
        case refuse(UpgradeRefusal, lingers: Bool)
    }

    enum HeadAction: Equatable {
        case wait
        /// - Parameters:
        ///   - isFirst: the HTTP server behind has not had a request on this connection.
        ///   - expectsContinue: the client waits for 100 Continue before it sends its body: RFC 9110 section 10.1.1.
        case pass(isFirst: Bool, expectsContinue: Bool)
    }

    enum EndAction: Equatable {
        case ignore
        case pass
        /// A request for a WebSocket is complete; nil while earlier responses are missing.
        case complete(Answer?)
        case close
    }

    /// Whether a head is the next part of a request; all other heads are ignored.
    var expectsHead: Bool { if case .betweenRequests = state { true } else { false } }

    mutating func receivedHead(_ head: HTTPRequestHead, isForWebSocket: Bool) -> HeadAction {
        isHead = head.method == .HEAD
        guard !isForWebSocket else {
            state = .asked(head, isComplete: false)
            return .wait
        }
        state = .passing
        deadline = nil
        body = BodyPace(patience: timeouts.body)
        openResponses += 1
        if head.version.minor == 0 { speaksHTTP10 = true }
        if speaksHTTP10 || head.headers.contains(name: "Upgrade")
            || HeaderTokens.contain("close", in: head.headers["Connection"])
        {
            closesAfterResponses = true
        }
        let isFirst = !hasPassedRequest
        hasPassedRequest = true
        let expectsContinue =
            openResponses == 1 && (head.version.major, head.version.minor) >= (1, 1)
            && HeaderTokens.contain("100-continue", in: head.headers["Expect"])
        return .pass(isFirst: isFirst, expectsContinue: expectsContinue)
    }

    mutating func receivedInvalidHead(_ refusal: UpgradeRefusal, isHead: Bool) -> Answer? {
        self.isHead = isHead
        state = .invalid(refusal, isComplete: false)
        return answer
    }

    /// Whether the body is passed on. That of a request for a WebSocket is ignored, as is everything after a refusal.
    mutating func receivedBody(byteCount: Int, now: NIODeadline) -> Bool {
        guard case .passing = state else { return false }
        body.received(byteCount: byteCount, now: now)
        deadline = nil
        return true
    }

    mutating func receivedEnd(now: NIODeadline) -> EndAction {
        switch state {
        case .asked(let head, _):
            state = .asked(head, isComplete: true)
            return .complete(answer)
        case .invalid(let refusal, _):
            state = .invalid(refusal, isComplete: true)
            return .ignore
        case .passing:
            state = .betweenRequests
            // The response can be complete before the request is.
            deadline = openResponses == 0 ? now + timeouts.keepAlive : nil
            return .pass
        case .lingering:
            return .close
        case .betweenRequests, .authorizing, .switched, .done:
            return .ignore
        }
    }

    private var answer: Answer? {
        guard openResponses == 0 else { return nil }
        switch state {
        case .invalid(let refusal, let isComplete): return .refuse(refusal, lingers: !isComplete)
        case .asked(let head, isComplete: true): return .decide(head)
        default: return nil
        }
    }

    // MARK: The answer

    mutating func authorize() { state = .authorizing }

    /// False when the connection ended meanwhile.
    var isAuthorizing: Bool { if case .authorizing = state { true } else { false } }

    mutating func switchProtocols() { state = .switched }

    /// Whether writes are frames: a session may send, or close, as soon as it is opened.
    var hasSwitched: Bool { if case .switched = state { true } else { false } }

    mutating func refuse() {
        state = .done
        deadline = nil
    }

    // MARK: Responses of the HTTP server behind

    enum ResponseEnd: Equatable {
        /// More responses follow.
        case more
        /// The connection ends when this is sent.
        case closes
        /// Every request has been answered.
        case answered(Answer?)
    }

    /// - Parameter head: of a final response.
    mutating func sendHead(_ head: inout HTTPResponseHead) {
        if speaksHTTP10 { head.version = .http1_0 }
        if closesAfterResponses {
            head.headers.replaceOrAdd(name: "Connection", value: "close")
        } else {
            closesAfterResponses = HeaderTokens.contain("close", in: head.headers["Connection"])
        }
    }

    mutating func sendEnd(now: NIODeadline) -> ResponseEnd {
        openResponses -= 1
        guard openResponses == 0 else { return .more }
        if closesAfterResponses { return .closes }
        if expectsHead { deadline = now + timeouts.keepAlive }
        return .answered(answer)
    }

    /// Whether more of a request arrives after the last response.
    var mustLinger: Bool { if case .passing = state { true } else { false } }

    mutating func linger(now: NIODeadline) {
        state = .lingering
        deadline = now + timeouts.linger
    }

    var isLingering: Bool { if case .lingering = state { true } else { false } }

    // MARK: Time and the end

    /// Whether more may be read. While a request for a WebSocket waits, the bytes after it stay in the kernel.
    mutating func mayRead(now: NIODeadline) -> Bool {
        switch state {
        case .asked(_, isComplete: true), .authorizing:
            holdsRead = true
            return false
        case .passing:
            body.wait(now: now)
            deadline = body.deadline
            return true
        default:
            return true
        }
    }

    /// The server shuts down gracefully: a connection without a request ends at once, for which this is true; one with
    /// an incomplete request within the linger timeout. The HTTP server finishes a response in progress.
    mutating func quiesce(now: NIODeadline) -> Bool {
        if expectsHead { return openResponses == 0 }
        if isRequestIncomplete { quiesceDeadline = now + timeouts.linger }
        return false
    }

    private var isRequestIncomplete: Bool {
        switch state {
        case .passing, .asked(_, isComplete: false): true
        default: false
        }
    }

    enum Timeout: Equatable {
        case close
        /// No complete request came.
        case refuse
    }

    mutating func checkTime(now: NIODeadline) -> Timeout? {
        if let quiesceDeadline, now >= quiesceDeadline {
            self.quiesceDeadline = nil
            if isRequestIncomplete { return .close }
        }
        guard let deadline, now >= deadline else { return nil }
        return hasPassedRequest || isLingering ? .close : .refuse
    }

    /// Switched, refused or ended.
    var isDone: Bool {
        switch state {
        case .switched, .done: true
        default: false
        }
    }

    mutating func end() {
        state = .done
        deadline = nil
    }
}
