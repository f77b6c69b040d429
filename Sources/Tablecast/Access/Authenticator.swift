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
