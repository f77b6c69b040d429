import JWTKit
import WireProtocol

/// A key that verifies signatures, with the only algorithms it may be used for: so that a token cannot choose how its key
/// is used.
///
/// Source: RFC 8725 (JSON Web Token Best Current Practices), sections 3.1 and 3.2.
struct VerificationKey: Sendable {
    /// `kid`
    let id: String?
    /// By the name in `alg`.
    let algorithms: [String: any JWTAlgorithm]
}

/// Why a set of keys cannot be used.
struct KeySetError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension VerificationKey {
    /// The most keys of a set.
    static let maxKeys = 100
    private static let minRSABytes = 256
    private static let rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]

    /// Reads a JSON Web Key Set, or one public key or certificate in PEM.
    static func parse(_ bytes: [UInt8]) async throws -> [VerificationKey] {
        let text = String(decoding: bytes, as: UTF8.self)
        if text.contains("-----BEGIN ") { return [try await fromPEM(text)] }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, rejectingDuplicateNames: true)
        } catch {
            throw KeySetError("expected a JSON Web Key Set or a public key in PEM: \(error.reason)")
        }
        guard case .object(let fields) = value, case .array(let entries)? = fields["keys"] else {
            throw KeySetError("expected a JSON Web Key Set: an object with an array 'keys'")
        }
        guard entries.count <= maxKeys else {
            throw KeySetError("expected at most \(maxKeys) keys, found \(entries.count)")
        }
        var keys: [VerificationKey] = []
        for case .object(let entry) in entries {
            if let key = try await fromJWK(entry) { keys.append(key) }
        }
        guard !keys.isEmpty else {
            throw KeySetError(
                "none of its \(entries.count) keys can verify a signature: expected RSA of at least 2048 bits, EC (P-256, P-384, P-521) or Ed25519"
            )
        }
        let ids = keys.compactMap(\.id)
        guard Set(ids).count == ids.count else { throw KeySetError("two of its keys have the same 'kid'") }
        return keys
    }

    /// The key of a secret that the issuer shares. RFC 7518, section 3.2: at least as long as the digest.
    static func fromSecret(_ secret: [UInt8]) async throws -> VerificationKey {
        var algorithms: [String: any JWTAlgorithm] = [:]
        for (name, digest, length) in [
            ("HS256", DigestAlgorithm.sha256, 32), ("HS384", .sha384, 48), ("HS512", .sha512, 64),
        ] where secret.count >= length {
            let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret), digestAlgorithm: digest)
            algorithms[name] = try await keys.getKey()
        }
        guard !algorithms.isEmpty else { throw KeySetError("expected at least 32 bytes, found \(secret.count)") }
        return VerificationKey(id: nil, algorithms: algorithms)
    }

    /// - Returns: nil for a key that does not verify signatures, or of an unsupported kind.
    private static func fromJWK(_ fields: [String: JSONValue]) async throws -> VerificationKey? {
        func text(_ name: String) -> String? { if case .string(let text)? = fields[name] { text } else { nil } }
        if let use = fields["use"], use != "sig" { return nil }
        if case .array(let operations)? = fields["key_ops"], !operations.contains("verify") { return nil }
        let possible: [String]
        let key: (JWK.Algorithm, JWKIdentifier) -> JWK
        switch (text("kty"), text("crv")) {
        case ("RSA", _):
            guard let modulus = text("n"), let exponent = text("e"),
                let bytes = Base64URL.decode(modulus.utf8), bytes.drop(while: { $0 == 0 }).count >= minRSABytes
            else { return nil }
            possible = rsaAlgorithms
            key = { .rsa($0, identifier: $1, modulus: modulus, exponent: exponent) }
        case ("EC", let curve?):
            guard let x = text("x"), let y = text("y"), let known = ECDSACurve(rawValue: curve) else { return nil }
            switch curve {
            case "P-256": possible = ["ES256"]
            case "P-384": possible = ["ES384"]
            case "P-521": possible = ["ES512"]
            default: return nil
            }
            key = { .ecdsa($0, identifier: $1, x: x, y: y, curve: known) }
        case ("OKP", "Ed25519"?):
            guard let x = text("x") else { return nil }
            possible = ["EdDSA"]
            key = { .octetKeyPair($0, identifier: $1, x: x, y: nil, curve: .ed25519) }
        default:
            return nil
        }
        var names = possible
        if let only = fields["alg"] { names = possible.filter { .string($0) == only } }
        var algorithms: [String: any JWTAlgorithm] = [:]
        for name in names {
            guard let algorithm = JWK.Algorithm(rawValue: name) else { continue }
            let keys = JWTKeyCollection()
            do {
                try await keys.add(jwk: key(algorithm, JWKIdentifier(string: "key")))
                algorithms[name] = try await keys.getKey(for: JWKIdentifier(string: "key"), alg: name)
            } catch {
                throw KeySetError("the key '\(text("kid") ?? "without kid")' is malformed: \(error)")
            }
        }
        return algorithms.isEmpty ? nil : VerificationKey(id: text("kid"), algorithms: algorithms)
    }

    private static func fromPEM(_ text: String) async throws -> VerificationKey {
        guard text.ranges(of: "-----BEGIN ").count == 1 else {
            throw KeySetError("expected one public key in PEM; use a JSON Web Key Set for several")
        }
        guard !text.contains("PRIVATE KEY") else {
            throw KeySetError("expected a public key, found a private key: extract it with openssl pkey -pubout")
        }
        let isCertificate = text.contains("-----BEGIN CERTIFICATE-----")
        var algorithms: [String: any JWTAlgorithm] = [:]
        // Any failure to read the key as one kind means that it is of another kind.
        if let key = isCertificate ? try? Insecure.RSA.PublicKey(certificatePEM: text) : try? .init(pem: text) {
            for (suffix, digest) in [("256", DigestAlgorithm.sha256), ("384", .sha384), ("512", .sha512)] {
                algorithms["RS" + suffix] = try await JWTKeyCollection().add(rsa: key, digestAlgorithm: digest).getKey()
                algorithms["PS" + suffix] = try await JWTKeyCollection().add(pss: key, digestAlgorithm: digest).getKey()
            }
        } else if let key = isCertificate ? try? ES256PublicKey(certificate: text) : try? ES256PublicKey(pem: text) {
            algorithms["ES256"] = try await JWTKeyCollection().add(ecdsa: key).getKey()
        } else if let key = isCertificate ? try? ES384PublicKey(certificate: text) : try? ES384PublicKey(pem: text) {
            algorithms["ES384"] = try await JWTKeyCollection().add(ecdsa: key).getKey()
        } else if let key = isCertificate ? try? ES512PublicKey(certificate: text) : try? ES512PublicKey(pem: text) {
            algorithms["ES512"] = try await JWTKeyCollection().add(ecdsa: key).getKey()
        } else if !isCertificate, let key = try? EdDSA.PublicKey(pem: text) {
            algorithms["EdDSA"] = try await JWTKeyCollection().add(eddsa: key).getKey()
        } else {
            throw KeySetError("expected a public key of RSA (at least 2048 bits), EC (P-256, P-384, P-521) or Ed25519")
        }
        return VerificationKey(id: nil, algorithms: algorithms)
    }
}
