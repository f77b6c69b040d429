import NIOCore
import NIOPosix
import NIOSSL
import WebSocketTransport
public import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Why a client has no connection, lost one, or did not get what it asked for.
public struct TablecastClientError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of the error. Later versions can have further kinds.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The address is malformed.
        public static let invalidAddress = Code("invalidAddress")
        /// No server answers at the address.
        public static let unreachable = Code("unreachable")
        /// The server's certificate is not trusted.
        public static let untrustedCertificate = Code("untrustedCertificate")
        /// The TLS handshake failed, as with a server that expects `ws`.
        public static let tlsFailed = Code("tlsFailed")
        /// The server refused the connection; see ``TablecastClientError/httpStatus``.
        public static let connectionRefused = Code("connectionRefused")
        /// The server is not a Tablecast server, or speaks another version of the protocol.
        public static let protocolViolation = Code("protocolViolation")
        /// The connection ended; see ``TablecastClientError/closeCode``.
        public static let disconnected = Code("disconnected")
        /// The server answered a request with an error; see ``TablecastClientError/errorCode``.
        public static let requestFailed = Code("requestFailed")
        /// The query was cancelled by a client, by its timeout, or because the server shuts down.
        public static let queryCancelled = Code("queryCancelled")

        public let description: String

        private init(_ description: String) { self.description = description }
    }

    public let code: Code
    /// The problem, without the server's address.
    public let message: String
    /// The HTTP status of a refused connection: 401, 403, 429, 503; those of a proxy in between, such as 502.
    public internal(set) var httpStatus: Int?
    /// The code of the close frame that ended the connection; 1006 when there was none.
    public internal(set) var closeCode: UInt16?
    /// The code of the server's error.
    public internal(set) var errorCode: ErrorCode?
    /// The offset of the error in the SQL, in bytes.
    public internal(set) var sqlOffset: Int?
    /// The last transaction that the query committed before it failed or was cancelled; nil when it committed none.
    public internal(set) var position: Position?

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    /// Whether a later attempt can succeed without a change of the client: the server is down, restarts or is full, or a limit
    /// of this identity is reached.
    public var isTransient: Bool {
        switch code {
        case .unreachable: true
        case .connectionRefused: httpStatus.map(Self.transientStatuses.contains) ?? false
        case .disconnected: closeCode.map(CloseCode.init)?.reconnect != CloseCode.Reconnect.no
        default: false
        }
    }
}

extension TablecastClientError {
    /// RFC 6585 section 4 (429) and RFC 9110 section 15.6: too many requests, and a server that a proxy cannot reach or that
    /// is overloaded.
    package static let transientStatuses: Set<Int> = [429, 502, 503, 504]

    /// RFC 6455 section 7.1.5: the connection ended without a close frame.
    private static let noCloseFrame: UInt16 = 1006

    /// The end of a connection.
    init(_ status: CloseStatus) {
        let reason = status.reason.isEmpty ? "" : ": \(status.reason)"
        self.init(.disconnected, "the connection was closed with code \(status.code)\(reason)")
        closeCode = status.code
    }

    /// The server's answer to a request.
    init(_ payload: ErrorPayload) {
        self.init(.requestFailed, payload.message)
        errorCode = payload.code
    }

    init(_ payload: QueryErrorPayload) {
        self.init(.requestFailed, payload.error)
        errorCode = payload.code
        sqlOffset = payload.sqlOffset
        position = payload.position
    }

    /// An error of connecting, as a transport reports it.
    package init(connecting error: any Error) {
        switch error {
        case let error as TablecastClientError: self = error
        case let error as WebSocketClientError: self.init(error)
        case let error as IOError where error.errnoCode == ECONNRESET:
            self.init(.disconnected, "the server closed the connection")
            closeCode = Self.noCloseFrame
        case is NIOSSLError, is BoringSSLError:
            // BoringSSL has no type for this error.
            if "\(error)".contains("CERTIFICATE_VERIFY_FAILED") {
                self.init(.untrustedCertificate, "the certificate is not trusted")
            } else {
                self.init(.tlsFailed, "TLS failed: \(error)")
            }
        default: self.init(.unreachable, Self.reason(error))
        }
    }

    private init(_ error: WebSocketClientError) {
        switch error {
        case .invalidURL: self.init(.invalidAddress, "\(error)")
        case .refused(let status, _):
            self.init(.connectionRefused, "\(error)")
            httpStatus = status
        case .invalidHandshake: self.init(.protocolViolation, "\(error)")
        case .timedOut: self.init(.unreachable, "\(error)")
        case .connectionLost:
            self.init(.disconnected, "\(error)")
            closeCode = Self.noCloseFrame
        case .closed(let status): self.init(status)
        case .tlsUnavailable: self.init(.tlsFailed, "\(error)")
        }
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        if let failure = error.connectionErrors.first?.error { return reason(failure) }
        return "unknown host '\(error.host)'"
    }
}
