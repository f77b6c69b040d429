package import NIOCore
package import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The end of a connection, RFC 6455 section 7: who says what, how long to wait, and when the socket may go.
///
/// After our last byte the sending half is shut and what still comes is thrown away until the peer's end arrives. To
/// close at once would make the kernel answer unread bytes with a reset, which can destroy the close frame on its way.
package struct CloseHandshake: Sendable, Hashable {
    package enum Action: Sendable, Hashable {
        /// Send the frame and go on reading until the peer's close frame comes.
        case send(CloseFrame)
        /// Send the frame, shut the sending half, throw away what still comes.
        case sendAndFinish(CloseFrame)
        /// Shut the sending half, throw away what still comes.
        case finish
        /// Reset the connection.
        case abort
    }

    private enum State: Sendable, Hashable {
        case open
        /// Our close frame is out.
        case closing(deadline: NIODeadline)
        /// Both are out, or no answer is wanted: only the end of the stream is missing.
        case finishing(deadline: NIODeadline)
        case closed
    }

    private let closeTimeout: TimeAmount
    private let lingerTimeout: TimeAmount
    private var state = State.open
    /// How it ended; set by what came first.
    package private(set) var status: CloseStatus?

    package init(closeTimeout: TimeAmount, lingerTimeout: TimeAmount) {
        self.closeTimeout = closeTimeout
        self.lingerTimeout = lingerTimeout
    }

    /// Whether messages may still be sent.
    package var isOpen: Bool {
        if case .open = state { true } else { false }
    }

    /// Whether frames that arrive still matter: our close frame does not end what the peer says before its own.
    package var isReading: Bool {
        switch state {
        case .open, .closing: true
        case .finishing, .closed: false
        }
    }

    /// Whether a timeout is running.
    package var isEnding: Bool {
        switch state {
        case .closing, .finishing: true
        case .open, .closed: false
        }
    }

    /// This side ends the connection; urgently when the peer does not read, so that its answer is not worth the full wait.
    package mutating func close(_ code: CloseCode, reason: String, isUrgent: Bool = false, now: NIODeadline) -> Action?
    {
        guard isOpen else { return nil }
        let frame = CloseFrame(code, reason: reason)
        status = CloseStatus(initiator: .local, code: code.rawValue, reason: reason)
        if isUrgent {
            state = .finishing(deadline: now + lingerTimeout)
            return .sendAndFinish(frame)
        }
        state = .closing(deadline: now + closeTimeout)
        return .send(frame)
    }

    /// The peer broke the rules; section 7.1.7, "Fail the WebSocket Connection".
    package mutating func fail(_ violation: ProtocolViolation, now: NIODeadline) -> Action? {
        defer { if isReading { state = .finishing(deadline: now + lingerTimeout) } }
        switch state {
        case .open:
            status = CloseStatus(initiator: .local, code: violation.code.rawValue, reason: violation.reason)
            return .sendAndFinish(CloseFrame(violation.code, reason: violation.reason))
        case .closing: return .finish
        case .finishing, .closed: return nil
        }
    }

    /// The peer's close frame. Section 5.5.1: it is answered with a close frame, typically with the same code.
    package mutating func received(_ frame: CloseFrame, now: NIODeadline) -> Action? {
        defer { if isReading { state = .finishing(deadline: now + lingerTimeout) } }
        switch state {
        case .open:
            status = CloseStatus(initiator: .peer, code: frame.code ?? 1005, reason: frame.reason)
            return .sendAndFinish(CloseFrame(code: frame.code))
        case .closing: return .finish
        case .finishing, .closed: return nil
        }
    }

    /// The connection is gone. The status is final from here on.
    package mutating func ended() -> CloseStatus {
        state = .closed
        let final = status ?? .lost
        status = final
        return final
    }

    package mutating func tick(now: NIODeadline) -> Action? {
        switch state {
        case .closing(let deadline) where now >= deadline, .finishing(let deadline) where now >= deadline:
            state = .closed
            return .abort
        default:
            return nil
        }
    }
}

/// How a connection ended, for the session.
package struct CloseStatus: Sendable, Hashable {
    /// Who ended it.
    package enum Initiator: Sendable, Hashable {
        case local
        case peer
        /// The connection broke, or the peer left without a close frame.
        case lost
    }

    package var initiator: Initiator
    /// The code of the close frame that decided it; 1005 when it had none and 1006 when there was none (RFC 6455
    /// section 7.1.5; neither is ever on the wire).
    package var code: UInt16
    package var reason: String

    package init(initiator: Initiator, code: UInt16, reason: String = "") {
        self.initiator = initiator
        self.code = code
        self.reason = reason
    }

    static let lost = CloseStatus(initiator: .lost, code: 1006)
}

/// Ends a connection at once and without a goodbye: for a peer that has had its time.
enum ConnectionReset {
    /// The reset (SO_LINGER with 0 s) makes the kernel forget what it still holds for the peer, which could be
    /// megabytes for many minutes otherwise.
    static func reset(_ channel: any Channel) {
        if let options = channel as? any SocketOptionProvider {
            options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in
                // The socket is gone already, which is what is wanted.
            }
        }
        // Below the pipeline: TLS would wait for the answer of a peer that does not answer.
        channel._channelCore.close0(error: ChannelError.ioOnClosedChannel, mode: .all, promise: nil)
    }
}
