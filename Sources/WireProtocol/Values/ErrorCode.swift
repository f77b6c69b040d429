/// The error code for programs: the `code` of `error` and `query:error` messages.
///
/// A struct rather than an enum, so that a client can decode the messages of a newer service.
public struct ErrorCode: RawRepresentable, Sendable, Hashable, Codable {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }
}

extension ErrorCode {
    /// A message that is not JSON, or in which a field is missing or malformed.
    public static let invalidMessage = Self(rawValue: "INVALID_MESSAGE")
    public static let unknownType = Self(rawValue: "UNKNOWN_TYPE")
    public static let unknownChannel = Self(rawValue: "UNKNOWN_CHANNEL")
    public static let unauthorized = Self(rawValue: "UNAUTHORIZED")
    public static let forbidden = Self(rawValue: "FORBIDDEN")
    public static let rateLimited = Self(rawValue: "RATE_LIMITED")
    public static let queryNotFound = Self(rawValue: "QUERY_NOT_FOUND")
    public static let queryIDInUse = Self(rawValue: "QUERY_ID_IN_USE")
    /// The connection has no subscription with that id.
    public static let subscriptionNotFound = Self(rawValue: "SUBSCRIPTION_NOT_FOUND")
    /// No connected client has that id.
    public static let clientNotFound = Self(rawValue: "CLIENT_NOT_FOUND")
    public static let tooManyQueries = Self(rawValue: "TOO_MANY_QUERIES")
    /// SQL that cannot be kept up to date.
    public static let notLive = Self(rawValue: "NOT_LIVE")
    public static let sqlError = Self(rawValue: "SQL_ERROR")
    public static let constraint = Self(rawValue: "CONSTRAINT")
    /// The row has changed since the client read it.
    public static let conflict = Self(rawValue: "CONFLICT")
    public static let busy = Self(rawValue: "BUSY")
    public static let readOnly = Self(rawValue: "READ_ONLY")
    /// A statement that the client's role may not run.
    public static let notAuthorized = Self(rawValue: "NOT_AUTHORIZED")
    public static let interrupted = Self(rawValue: "INTERRUPTED")
    public static let tooBig = Self(rawValue: "TOO_BIG")
    /// A request over HTTP, or of a command, ended inside a transaction, which was rolled back.
    public static let transactionLeftOpen = Self(rawValue: "TRANSACTION_LEFT_OPEN")
    /// A transaction was idle or open for too long and was rolled back.
    public static let transactionTimedOut = Self(rawValue: "TRANSACTION_TIMED_OUT")
    /// SQLite rolled a transaction back when one of its statements was cancelled or failed.
    public static let transactionRolledBack = Self(rawValue: "TRANSACTION_ROLLED_BACK")
    /// The database file was removed or replaced.
    public static let databaseGone = Self(rawValue: "DATABASE_GONE")
    public static let databaseError = Self(rawValue: "DB_ERROR")
    public static let `internal` = Self(rawValue: "INTERNAL")
}

extension ErrorCode {
    /// Whether a subscription or a live query that fails with it can succeed later without a change: the database is away or
    /// locked, the service stops, or a limit is reached that the request was within before.
    package func mayPass(hadBegun: Bool) -> Bool {
        switch self {
        case .databaseGone, .busy, .interrupted: true
        case .rateLimited, .tooManyQueries: hadBegun
        default: false
        }
    }
}

extension ErrorCode: CustomStringConvertible {
    public var description: String { rawValue }
}

/// Why the service closed a WebSocket: the codes of RFC 6455 section 7.4.1 that it uses and its own in the private range.
///
/// A struct rather than an enum, so that a client can handle the codes of a newer service.
public struct CloseCode: RawRepresentable, Sendable, Hashable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension CloseCode {
    public static let normal = Self(rawValue: 1000)
    /// The server shuts down or restarts.
    public static let goingAway = Self(rawValue: 1001)
    public static let protocolError = Self(rawValue: 1002)
    /// A binary message; the protocol is text.
    public static let unacceptableData = Self(rawValue: 1003)
    /// A text message that is not UTF-8.
    public static let invalidPayload = Self(rawValue: 1007)
    public static let messageTooBig = Self(rawValue: 1009)
    public static let internalError = Self(rawValue: 1011)
    public static let badRequest = Self(rawValue: 4400)
    /// The token is missing, invalid or expired.
    public static let unauthorized = Self(rawValue: 4401)
    public static let forbidden = Self(rawValue: 4403)
    /// No message within two heartbeat intervals.
    public static let heartbeatTimeout = Self(rawValue: 4408)
    /// The queue of messages that the client has not read reached its limit.
    public static let tooSlow = Self(rawValue: 4413)
    public static let tooManyMessages = Self(rawValue: 4429)

    /// Whether and how a client should reconnect.
    ///
    /// Later versions can have further cases: handle those you need, and others with `default`.
    public enum Reconnect: Sendable, Hashable {
        case no
        case withBackoff
        /// At once, with the last received position.
        case resume
    }

    /// For a code that this version does not know, as after a lost connection: `withBackoff`.
    public var reconnect: Reconnect {
        switch self {
        case .normal, .protocolError, .unacceptableData, .invalidPayload, .messageTooBig: .no
        case .badRequest, .unauthorized, .forbidden: .no
        case .heartbeatTimeout, .tooSlow: .resume
        default: .withBackoff
        }
    }
}

extension CloseCode: CustomStringConvertible {
    public var description: String { String(rawValue) }
}

/// A message from a client that the service cannot process: answered with `error`, and never a reason to close.
public struct ProtocolError: Error, Sendable, Hashable {
    public var code: ErrorCode
    /// Names the field, the found value and the expected one.
    public var message: String
    /// The `id` of the message, for `replyTo`, if it has a usable one.
    public var requestID: String?

    public init(_ code: ErrorCode, _ message: String, requestID: String? = nil) {
        self.code = code
        self.message = message
        self.requestID = requestID
    }
}

extension ProtocolError: CustomStringConvertible {
    public var description: String { "\(code): \(message)" }
}
