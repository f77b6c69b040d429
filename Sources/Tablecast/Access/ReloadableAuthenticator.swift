import Synchronization

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
