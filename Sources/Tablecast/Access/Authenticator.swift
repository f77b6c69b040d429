import Synchronization

/// Says who stands behind a token. ``TokenList`` is the simple one; an application with users, sessions or JSON Web Tokens of
/// its own gives its own.
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
    /// Called for every request and every new connection, from any task. A connection waits for it for
    /// ``ServerLimits/handshakeTimeout`` at most.
    ///
    /// - Throws: ``AuthenticationError`` for a token that is not valid, answered with 401; any other error says that it
    ///   cannot be told now, and is answered with 503.
    func identity(of token: String) async throws -> Identity
}

/// Why a token is not valid.
public struct AuthenticationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The client reads it, so it must not tell a guesser how near he is: one clause without a full stop.
    public var reason: String

    public init(_ reason: String) { self.reason = reason }

    public var description: String { reason }
}

/// Asks one authenticator after the other, and takes the first answer.
public struct FirstAuthenticator: Authenticator {
    private let authenticators: [any Authenticator]

    public init(_ authenticators: [any Authenticator]) { self.authenticators = authenticators }

    /// - Throws: what the last one that was asked said.
    public func identity(of token: String) async throws -> Identity {
        var failure: any Error = AuthenticationError("the token is unknown")
        for authenticator in authenticators {
            do {
                return try await authenticator.identity(of: token)
            } catch {
                failure = error
            }
        }
        throw failure
    }
}

/// Asks an authenticator that can be replaced while it is in use. Thread-safe.
package final class ReloadableAuthenticator: Authenticator {
    private let current: Mutex<any Authenticator>

    package init(_ authenticator: any Authenticator) { current = Mutex(authenticator) }

    /// Decides about every request from now on.
    package func replace(with authenticator: any Authenticator) { current.withLock { $0 = authenticator } }

    package func identity(of token: String) async throws -> Identity {
        try await current.withLock { $0 }.identity(of: token)
    }
}

/// Finds the token in a request, RFC 6750 section 2: in the header, or where a browser's WebSocket and EventSource, which
/// cannot set headers, have to put it: in the address.
enum BearerToken {
    /// The parameter of the address. It is never logged here; a proxy in front may do so, and should be told not to.
    static let parameter = "access_token"

    /// - Returns: nil where there is none.
    /// - Throws: for more than one, which section 2 forbids: they might be of different people.
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
