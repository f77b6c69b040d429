import Synchronization

/// Maps a token to an identity. ``TokenList`` is the simple implementation; an application with users, sessions or JSON
/// Web Tokens implements its own.
///
/// ```
/// struct Sessions: Authenticator {
///     func identity(of token: String) async throws -> Identity {
///         guard let user = await store.user(ofSession: token) else { throw AuthenticationError("the session is over") }
///         return Identity(id: user.id, username: user.name, role: user.isEditor ? .readWrite : .readOnly)
///     }
/// }
/// ```
public protocol Authenticator: Sendable {
    /// Called for every request and every new connection, from any task. A connection waits for the result, at most for
    /// `limits.connection.handshakeTimeout`.
    ///
    /// - Throws: ``AuthenticationError`` for an invalid token, answered with 401; any other error means that the token
    ///   cannot be checked now, and is answered with 503.
    func identity(of token: String) async throws -> Identity
}

/// Why a token is invalid.
public struct AuthenticationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One clause without a full stop; the client can read it, so it must not help to guess a token.
    public var reason: String
    /// The token is valid and grants nothing here, because it lacks what its rights need: answered with 403.
    public var isForbidden = false

    public init(_ reason: String) { self.reason = reason }

    /// The error of a valid token that grants nothing here.
    public static func forbidden(_ reason: String) -> AuthenticationError {
        var error = AuthenticationError(reason)
        error.isForbidden = true
        return error
    }

    public var description: String { reason }
}

/// Calls one authenticator after the other, and returns the first identity.
public struct FirstAuthenticator: Authenticator {
    private let authenticators: [any Authenticator]

    public init(_ authenticators: [any Authenticator]) { self.authenticators = authenticators }

    /// - Throws: the error of the last authenticator; instead, an error that is no ``AuthenticationError``, such as that of a
    ///   provider that does not answer: the token may be valid.
    public func identity(of token: String) async throws -> Identity {
        var failure: any Error = AuthenticationError("the token is unknown")
        for authenticator in authenticators {
            do {
                return try await authenticator.identity(of: token)
            } catch {
                // An outage is answered with 503, and clients try again; 401 would end them.
                if failure is AuthenticationError { failure = error }
            }
        }
        throw failure
    }
}

/// Calls an authenticator that can be replaced while it is in use. Thread-safe.
package final class ReloadableAuthenticator: Authenticator {
    private let current: Mutex<any Authenticator>

    package init(_ authenticator: any Authenticator) { current = Mutex(authenticator) }

    /// Sets the authenticator of all further requests.
    package func replace(with authenticator: any Authenticator) { current.withLock { $0 = authenticator } }

    package func identity(of token: String) async throws -> Identity {
        try await current.withLock { $0 }.identity(of: token)
    }
}

/// Finds the token of a request, RFC 6750 section 2: in the header, or in the query string, because a browser's
/// WebSocket and EventSource cannot set headers.
enum BearerToken {
    /// The query parameter. This service never logs it; configure a proxy in front not to log it either.
    static let parameter = "access_token"

    /// - Returns: nil when there is none.
    /// - Throws: for more than one, which section 2 forbids: they might belong to different users.
    static func find(authorization: [String], uri: String) throws(AccessRefusal) -> String? {
        var tokens: [String] = []
        for field in authorization {
            let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            guard let scheme = parts.first, scheme.lowercased() == "bearer" else {
                throw .invalid("the header 'Authorization' must be 'Bearer' and a token")
            }
            guard parts.count == 2, !parts[1].isEmpty else {
                throw .invalid("the header 'Authorization' has no token")
            }
            tokens.append(parts[1].filter { $0 != " " })
        }
        for (name, value) in AddressQuery(of: uri).fields where name == parameter && !value.isEmpty {
            tokens.append(value)
        }
        guard tokens.count <= 1 else {
            throw .ambiguous("a request carries one token; this one carries \(tokens.count)")
        }
        return tokens.first
    }
}
