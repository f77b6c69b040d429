public import TablecastClient
public import WireProtocol

/// Why a relay cannot use a source.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum RelayError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The source is a client of this relay, directly or through other relays.
    case loop
    /// The server does not serve relays of this version; with its version.
    case versionDiffers(String)
    /// The server only broadcasts messages of an application.
    case noDatabase
    /// The server refused the subscription.
    case refused(String, code: ErrorCode)
    /// The server's messages are not those of a source.
    case protocolViolation
    /// The server cannot be reached, refused the connection, or ended it.
    case connection(TablecastClientError)
    /// The server is cut off from the database, and another one is not.
    case sourceAway
    /// The stream of a broker cannot be used.
    case stream(String, isTransient: Bool)

    public var description: String {
        switch self {
        case .loop: "the source receives from this relay: a relay cannot be its own source"
        case .versionDiffers(let version):
            "the server has version \(version), which does not serve relays of this version: use the same version on both"
        case .noDatabase: "the server has no database"
        case .refused(let message, let code): "the server refused: \(message) (\(code))"
        case .protocolViolation: "the server sent a message that this version cannot read: use the same version on both"
        case .connection(let error): "\(error)"
        case .sourceAway: "the server has been cut off from the database, and another address has not"
        case .stream(let reason, _): reason
        }
    }

    /// Whether a later attempt can succeed without a change of the relay.
    public var isTransient: Bool {
        switch self {
        case .connection(let error): error.isTransient
        case .sourceAway: true
        case .stream(_, let isTransient): isTransient
        default: false
        }
    }
}

/// No source could be used; with the reason for each.
public struct RelayFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// In the order of the sources.
    public let reasons: [Reason]

    package init(reasons: [Reason]) { self.reasons = reasons }

    public struct Reason: Sendable, Hashable {
        /// The address of the source.
        public let address: String
        public let error: RelayError

        package init(address: String, error: RelayError) {
            self.address = address
            self.error = error
        }
    }

    public var description: String { reasons.map { "\($0.address): \($0.error)" }.joined(separator: "; ") }
}
