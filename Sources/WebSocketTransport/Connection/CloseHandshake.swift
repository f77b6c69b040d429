package import NIOCore
package import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The end of a connection, RFC 6455 section 7: which frames to send, how long to wait, and when to close the socket.
///
/// After the last sent byte the sending half is shut down and received bytes are discarded until the peer closes its
/// half. Closing at once would make the kernel answer unread bytes with a reset, which can destroy the close frame in
/// transit.
package struct CloseHandshake: Sendable, Hashable {
    package enum Action: Sendable, Hashable {
        /// Send the frame and continue reading until the peer's close frame arrives.
        case send(CloseFrame)
        /// Send the frame, shut down the sending half, discard received bytes.
        case sendAndFinish(CloseFrame)
        /// Shut down the sending half, discard received bytes.
        case finish
        /// Reset the connection.
        case abort
    }

    private enum State: Sendable, Hashable {
        case open
        /// Our close frame has been sent.
        case closing(deadline: NIODeadline)
        /// Both close frames have been sent, or no answer is wanted: only the end of the stream is missing.
        case finishing(deadline: NIODeadline)
        case closed
    }

    private let closeTimeout: TimeAmount
    private let lingerTimeout: TimeAmount
    private var state = State.open
    /// How it ended; set by the first event.
    package private(set) var status: CloseStatus?

    package init(closeTimeout: TimeAmount, lingerTimeout: TimeAmount) {
        self.closeTimeout = closeTimeout
        self.lingerTimeout = lingerTimeout
    }

    /// Whether messages may still be sent.
    package var isOpen: Bool {
        if case .open = state { true } else { false }
    }

    /// Whether received frames still matter: our close frame does not end what the peer sends before its own.
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

    /// This side ends the connection; `urgently` when the peer does not read, so that its answer is not worth the full
    /// wait.
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

    /// The peer violated the protocol; section 7.1.7, "Fail the WebSocket Connection".
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

    /// The connection has ended. The status is final from here on.
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
    /// The side that ended it.
    package enum Initiator: Sendable, Hashable {
        case local
        case peer
        /// The connection broke, or the peer disconnected without a close frame.
        case lost
    }

    package var initiator: Initiator
    /// The code of the close frame that decided it; 1005 when it had none and 1006 when there was none (RFC 6455
    /// section 7.1.5; neither is ever sent).
    package var code: UInt16
    package var reason: String

    package init(initiator: Initiator, code: UInt16, reason: String = "") {
        self.initiator = initiator
        self.code = code
        self.reason = reason
    }

    static let lost = CloseStatus(initiator: .lost, code: 1006)
}

/// Ends a connection at once and without a close handshake: for a peer whose time is up.
enum ConnectionReset {
    /// The reset (SO_LINGER with 0 s) makes the kernel discard the bytes that it still holds for the peer, possibly
    /// megabytes for many minutes.
    static func reset(_ channel: any Channel) {
        if let options = channel as? any SocketOptionProvider {
            options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in
                // The socket is already closed, as intended.
            }
        }
        // Below the pipeline: TLS would wait for a peer that does not answer.
        channel._channelCore.close0(error: ChannelError.ioOnClosedChannel, mode: .all, promise: nil)
    }
}
