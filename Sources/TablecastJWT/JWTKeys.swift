import AsyncHTTPClient
import JWTKit
import Logging
import NIOCore
import NIOHTTP1
import Tablecast

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif
#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The keys that verify JSON Web Tokens: a file, an address that is asked again when keys change, or a shared secret.
public struct JWTKeys: Sendable {
    enum Source: Sendable {
        case file(String)
        case url(String)
        case secret([UInt8])
    }

    let source: Source

    /// A JSON Web Key Set, or one public key or certificate in PEM.
    public static func file(_ path: String) -> JWTKeys { JWTKeys(source: .file(path)) }

    /// The address of a JSON Web Key Set, which an identity provider publishes as `jwks_uri`. The keys are kept; they are
    /// requested again every ten minutes, and for a token with an unknown key, at most once a minute. While the address
    /// cannot be reached the keys that are known stay valid.
    ///
    /// - Parameter url: https, or http to this machine.
    public static func url(_ url: String) throws(JWTConfigurationError) -> JWTKeys {
        guard let parsed = URL(string: url), let host = parsed.host(), !host.isEmpty else {
            throw JWTConfigurationError("'\(url)' is not an address")
        }
        let isLocal = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(host)
        guard parsed.scheme == "https" || parsed.scheme == "http" && isLocal else {
            throw JWTConfigurationError("'\(url)' is not secure: keys are requested by https, or from this machine")
        }
        return JWTKeys(source: .url(url))
    }

    /// A secret that the issuer shares, for HS256, HS384 and HS512.
    ///
    /// - Parameter secret: at least 32 bytes.
    public static func secret(_ secret: String) -> JWTKeys { JWTKeys(source: .secret(Array(secret.utf8))) }
}

/// Why keys or claims cannot be configured.
public struct JWTConfigurationError: Error, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Loads the keys and keeps them up to date.
actor KeyStore {
    /// The keys are requested again when they are older.
    private static let maxAge = Duration.seconds(600)
    /// The least time between two requests, so that tokens with invented keys do not load the provider.
    private static let minInterval = Duration.seconds(60)
    /// The same while no keys are known.
    private static let minIntervalWithoutKeys = Duration.seconds(5)
    private static let requestTimeout = TimeAmount.seconds(5)
    private static let maxBytes = 1 << 20

    private let source: JWTKeys.Source
    private let logger: Logger
    private var keys: [VerificationKey] = []
    private var loadedAt: ContinuousClock.Instant?
    private var attemptedAt: ContinuousClock.Instant?
    private var loading: Task<[VerificationKey], any Error>?

    init(_ source: JWTKeys.Source, logger: Logger) {
        self.source = source
        self.logger = logger
    }

    /// - Throws: the reason why the keys cannot be loaded; those known before stay.
    func load() async throws {
        let task: Task<[VerificationKey], any Error>
        if let loading {
            task = loading
        } else {
            attemptedAt = .now
            task = Task { [source] in try await Self.read(source) }
            loading = task
        }
        defer { if loading == task { loading = nil } }
        keys = try await task.value
        loadedAt = .now
    }

    /// The key that a token names, and how it is used with the token's algorithm.
    ///
    /// - Throws: ``AuthenticationError`` when there is no such key; any other error when the keys are not known.
    func algorithm(for token: CompactToken) async throws -> any JWTAlgorithm {
        if keys.isEmpty {
            guard isRequestAllowed(after: Self.minIntervalWithoutKeys) else { throw JWTKeysUnavailable() }
            try await load()
        } else if let loadedAt, loadedAt + Self.maxAge < .now, isRequestAllowed(after: Self.minInterval) {
            Task { await refresh() }
        }
        if let found = find(token) { return found }
        if token.keyID != nil, !keys.contains(where: { $0.id == token.keyID }),
            isRequestAllowed(after: Self.minInterval)
        {
            await refresh()
            if let found = find(token) { return found }
        }
        throw AuthenticationError(refusal(of: token))
    }

    private func isRequestAllowed(after interval: Duration) -> Bool {
        if loading != nil { return true }
        return attemptedAt.map { $0 + interval < .now } ?? true
    }

    private func refresh() async {
        guard case .url(let url) = source else { return }
        do {
            try await load()
        } catch {
            logger.warning(
                "keys of JSON Web Tokens could not be requested: those known stay valid",
                metadata: [
                    "url": "\(url)", "error": "\(error)",
                ]
            )
        }
    }

    private func find(_ token: CompactToken) -> (any JWTAlgorithm)? {
        guard let id = token.keyID else {
            // Without a name it is not certain which key is meant, unless there is only one.
            return keys.count == 1 ? keys.first?.algorithms[token.algorithm] : nil
        }
        // A key without a name of its own, such as one in PEM, is meant whatever the token calls it.
        let key = keys.first { $0.id == id } ?? (keys.count == 1 && keys[0].id == nil ? keys[0] : nil)
        return key?.algorithms[token.algorithm]
    }

    private func refusal(of token: CompactToken) -> String {
        guard let id = token.keyID else {
            return keys.count > 1
                ? "the token has no 'kid', and there are several keys"
                : "the token's algorithm is not one of its key"
        }
        return keys.contains { $0.id == id || $0.id == nil }
            ? "the token's algorithm is not one of its key" : "the token's key is unknown"
    }

    private static func read(_ source: JWTKeys.Source) async throws -> [VerificationKey] {
        switch source {
        case .secret(let secret): return [try await .fromSecret(secret)]
        case .file(let path):
            guard let data = FileManager.default.contents(atPath: path) else {
                let reason = access(path, R_OK) == 0 ? "" : ": " + String(cString: strerror(errno))
                throw KeySetError("the file cannot be read\(reason)")
            }
            return try await VerificationKey.parse(Array(data))
        case .url(let url):
            let response = try await HTTPClient.keys.execute(HTTPClientRequest(url: url), timeout: requestTimeout)
            guard response.status == .ok else { throw KeySetError("the answer was \(response.status.code)") }
            let body = try await response.body.collect(upTo: maxBytes)
            return try await VerificationKey.parse(Array(body.readableBytesView))
        }
    }
}

/// No key could be loaded yet.
struct JWTKeysUnavailable: Error, CustomStringConvertible {
    let description = "the keys of JSON Web Tokens have not been loaded yet"
}

extension HTTPClient {
    /// One for the life of the process. It follows no redirect: the keys would come from another place than the one that
    /// was configured.
    fileprivate static let keys: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout.connect = .seconds(5)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()
}
