import JWTKit
public import Logging
public import Tablecast
import WireProtocol

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Accepts JSON Web Tokens of an identity provider: RS256, PS256, ES256, their longer forms, EdDSA, and, with a shared
/// secret, HS256.
///
/// ```swift
/// let authenticator = JWTAuthenticator(
///     try .url("https://id.example.com/.well-known/jwks.json"),
///     issuer: "https://id.example.com",
///     audience: ["tablecast"]
/// )
/// ```
///
/// A token must name its expiry (`exp`) and its subject (`sub`). `iss` and `aud` are compared where they are configured,
/// `nbf` and `iat` where the token has them.
///
/// Sources: RFC 7519 (JSON Web Token), RFC 8725 (Best Current Practices).
public struct JWTAuthenticator: Authenticator {
    private let keys: KeyStore
    private let issuer: String?
    private let audience: [String]
    private let leeway: Duration
    private let mapping: ClaimMapping

    /// - Parameters:
    ///   - keys: the keys that sign the tokens.
    ///   - issuer: the value of `iss`; nil accepts every issuer that has the key.
    ///   - audience: `aud` must be or contain one of them; empty accepts every audience. A provider that serves several
    ///     applications signs the tokens of all of them with the same key: then the audience is what tells them apart.
    ///   - leeway: by how much the clocks may differ.
    ///   - mapping: which claims contain the rights.
    ///   - logger: records keys that cannot be requested.
    public init(
        _ keys: JWTKeys,
        issuer: String? = nil,
        audience: [String] = [],
        leeway: Duration = .seconds(30),
        mapping: ClaimMapping = ClaimMapping(),
        logger: Logger = Logger(label: "tablecast.jwt")
    ) {
        self.keys = KeyStore(keys.source, logger: logger)
        self.issuer = issuer
        self.audience = audience
        self.leeway = leeway
        self.mapping = mapping
    }

    /// Loads the keys at once instead of with the first token.
    ///
    /// - Throws: the reason why they cannot be loaded now.
    public func loadKeys() async throws { try await keys.load() }

    public func identity(of token: String) async throws -> Identity {
        let parsed = try CompactToken(token)
        let algorithm = try await keys.algorithm(for: parsed)
        guard try Self.isSigned(parsed, by: algorithm) else {
            throw AuthenticationError("the token's signature is wrong")
        }
        let claims = try parsed.claims()
        let expiry = try checkTimes(claims, now: Date().timeIntervalSince1970)
        if let issuer, claims["iss"] != .string(issuer) { throw AuthenticationError("the token is of another issuer") }
        if !audience.isEmpty { try checkAudience(claims["aud"]) }
        return try mapping.identity(claims, expiresAt: expiry)
    }

    /// A signature of a wrong length is an error for some algorithms, and for others a wrong signature.
    private static func isSigned(
        _ token: CompactToken,
        by algorithm: any JWTAlgorithm
    ) throws(AuthenticationError) -> Bool {
        do {
            return try algorithm.verify(token.signature, signs: token.signedBytes)
        } catch {
            throw AuthenticationError("the token's signature is malformed")
        }
    }

    private func checkAudience(_ claim: JSONValue?) throws(AuthenticationError) {
        var found: [JSONValue] = []
        switch claim {
        case .array(let several): found = several
        case let one?: found = [one]
        case nil: break
        }
        guard found.contains(where: { value in audience.contains { value == .string($0) } }) else {
            throw AuthenticationError("the token is for another audience")
        }
    }

    /// - Returns: when the token is no longer accepted, `exp` and the leeway, in milliseconds since 1970.
    private func checkTimes(_ claims: [String: JSONValue], now: Double) throws(AuthenticationError) -> Int64 {
        let leeway = leeway / .seconds(1)
        guard let expiry = try Self.time("exp", claims) else {
            throw AuthenticationError("the token has no claim 'exp': it must expire")
        }
        guard now < expiry + leeway else { throw AuthenticationError("the token has expired") }
        if let start = try Self.time("nbf", claims), now < start - leeway {
            throw AuthenticationError("the token is not valid yet")
        }
        if let issued = try Self.time("iat", claims), now < issued - leeway {
            throw AuthenticationError("the token was issued in the future")
        }
        return Int64(exactly: ((expiry + leeway) * 1_000).rounded()) ?? .max
    }

    /// A NumericDate: seconds since 1970, RFC 7519, section 2.
    private static func time(_ name: String, _ claims: [String: JSONValue]) throws(AuthenticationError) -> Double? {
        switch claims[name] {
        case nil: return nil
        case .integer(let seconds): return Double(seconds)
        case .number(let seconds): return seconds
        default: throw AuthenticationError("the token's claim '\(name)' is not a number of seconds")
        }
    }
}
