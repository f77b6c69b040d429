import ArgumentParser
import Logging
import Tablecast
import TablecastJWT

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The options of `serve` for JSON Web Tokens.
struct JWTOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Accept JSON Web Tokens signed by these keys: a JSON Web Key Set or a public key in PEM.",
            discussion: """
                A file, or the https address that an identity provider publishes as jwks_uri; its keys are requested again \
                when they change. For HS256, set the secret in TABLECAST_JWT_SECRET instead.
                """,
            valueName: "file-or-url"
        ),
        completion: .file(extensions: ["json", "pem"])
    )
    var jwtKeys: String?

    @Option(help: ArgumentHelp("The 'iss' that a JSON Web Token must have.", valueName: "issuer"))
    var jwtIssuer: String?

    @Option(
        help: ArgumentHelp(
            "The 'aud' that a JSON Web Token must have; repeatable. Required for keys from an address.",
            valueName: "audience"
        )
    )
    var jwtAudience: [String] = []

    @Option(
        help: ArgumentHelp("By how many seconds the clocks of issuer and service may differ.", valueName: "seconds")
    )
    var jwtLeeway = 30

    @Option(
        help: ArgumentHelp(
            "Which claims contain the rights, in JSON; without it, they are in the claim 'tablecast'.",
            discussion:
                "{\"username\": \"email\", \"role\": [\"realm_access\", \"roles\"], \"roles\": {\"editor\": \"read-write\"}}",
            valueName: "json-file"
        ),
        completion: .file(extensions: ["json"])
    )
    var jwtClaims: String?

    static let secretVariable = "TABLECAST_JWT_SECRET"
    private static let maxLeeway = 3_600

    var isConfigured: Bool { jwtKeys != nil || Environment.secret(Self.secretVariable) != nil }

    private var isAddress: Bool { jwtKeys.map { $0.contains("://") } ?? false }

    func validate() throws {
        if Environment.isEmpty(Self.secretVariable) {
            throw ValidationError(
                "\(Self.secretVariable) is set and empty: set it to a secret of at least 32 bytes, or unset it."
            )
        }
        if jwtKeys != nil, Environment.secret(Self.secretVariable) != nil {
            throw ValidationError("--jwt-keys and \(Self.secretVariable) exclude each other.")
        }
        if !isConfigured, jwtIssuer != nil || !jwtAudience.isEmpty || jwtClaims != nil {
            throw ValidationError(
                "--jwt-issuer, --jwt-audience and --jwt-claims require --jwt-keys or \(Self.secretVariable)."
            )
        }
        guard (0...Self.maxLeeway).contains(jwtLeeway) else {
            throw ValidationError("--jwt-leeway is \(jwtLeeway); expected 0 to \(Self.maxLeeway) seconds.")
        }
        if isAddress, jwtAudience.isEmpty {
            throw ValidationError(
                "--jwt-keys with an address requires --jwt-audience: the provider signs the tokens of its other applications with the same keys."
            )
        }
    }

    /// Nil when no such token is accepted.
    func authenticator(requiresKeys: Bool, logger: Logger) async throws -> JWTAuthenticator? {
        guard let keys = try keys() else { return nil }
        let authenticator = JWTAuthenticator(
            keys,
            issuer: jwtIssuer,
            audience: jwtAudience,
            leeway: .seconds(jwtLeeway),
            mapping: try mapping(),
            logger: logger
        )
        do {
            try await authenticator.loadKeys()
        } catch {
            let place = jwtKeys.map { "the keys in '\($0)'" } ?? "the secret in \(Self.secretVariable)"
            guard isAddress, !requiresKeys else { throw CommandFailure(.usage, "\(place): \(error)") }
            Terminal.error.note(
                "warning: \(place) cannot be requested: \(error); JSON Web Tokens are answered with 503 until they can"
            )
        }
        return authenticator
    }

    private func keys() throws -> JWTKeys? {
        if let secret = Environment.secret(Self.secretVariable) { return .secret(secret) }
        guard let jwtKeys else { return nil }
        guard isAddress else { return .file(jwtKeys) }
        do {
            return try .url(jwtKeys)
        } catch {
            throw CommandFailure(.usage, "--jwt-keys: \(error)")
        }
    }

    private func mapping() throws -> ClaimMapping {
        guard let jwtClaims else { return ClaimMapping() }
        let data = try FileText.bytes(of: jwtClaims, "the claims file")
        do {
            return try ClaimMapping(parsing: data)
        } catch {
            throw CommandFailure(
                .usage,
                "the claims file '\(jwtClaims)': \(error)",
                advice: "Expected an object such as {\"username\": \"email\", \"role\": \"role\"}."
            )
        }
    }
}
