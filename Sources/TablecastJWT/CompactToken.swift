import Tablecast
import WireProtocol

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A JSON Web Token in its compact form, not verified yet.
///
/// Sources: RFC 7515, section 3.1; RFC 7519, section 7.2.
struct CompactToken {
    /// `alg`
    let algorithm: String
    /// `kid`
    let keyID: String?
    /// The header and the payload as they were signed.
    let signedBytes: [UInt8]
    let signature: [UInt8]
    private let payload: [UInt8]

    /// A longer one does not fit into a request's headers.
    static let maxBytes = 16_384
    private static let types: Set<String> = ["jwt", "at+jwt", "application/at+jwt", "application/jwt"]

    init(_ text: String) throws(AuthenticationError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.maxBytes else {
            throw AuthenticationError("the token has more than \(Self.maxBytes) bytes")
        }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else {
            throw AuthenticationError("the token is unknown: it is neither in the list nor a JSON Web Token")
        }
        guard let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw AuthenticationError("the token is not a JSON Web Token: a part is not in Base64url") }
        let fields = try Self.object(header, "header")
        guard case .string(let algorithm)? = fields["alg"] else {
            throw AuthenticationError("the token's header has no 'alg'")
        }
        // Extensions that must be understood, RFC 7515, section 4.1.11.
        if fields["crit"] != nil { throw AuthenticationError("the token's header has 'crit', which is not supported") }
        if let type = fields["typ"] {
            guard case .string(let name) = type, Self.types.contains(name.lowercased()) else {
                throw AuthenticationError("the token's 'typ' is not JWT")
            }
        }
        switch fields["kid"] {
        case nil: keyID = nil
        case .string(let id): keyID = id
        default: throw AuthenticationError("the token's 'kid' is not a text")
        }
        self.algorithm = algorithm
        self.payload = payload
        self.signature = signature
        signedBytes = Array(bytes[..<(parts[0].count + 1 + parts[1].count)])
    }

    /// The claims. Verify the signature first.
    func claims() throws(AuthenticationError) -> [String: JSONValue] { try Self.object(payload, "payload") }

    private static func object(_ bytes: [UInt8], _ part: String) throws(AuthenticationError) -> [String: JSONValue] {
        do throws(JSONParsingError) {
            let value = try JSONValue(parsing: bytes, rejectingDuplicateNames: true)
            if case .object(let fields) = value { return fields }
        } catch {
            throw AuthenticationError("the token's \(part) is not valid JSON: \(error.reason)")
        }
        throw AuthenticationError("the token's \(part) is not a JSON object")
    }
}

/// Base64url without padding, RFC 7515, section 2.
enum Base64URL {
    /// - Returns: nil for anything else, whitespace and padding included.
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var standard: [UInt8] = []
        standard.reserveCapacity(text.count + 3)
        for byte in text {
            switch byte {
            case UInt8(ascii: "-"): standard.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): standard.append(UInt8(ascii: "/"))
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                standard.append(byte)
            default: return nil
            }
        }
        while standard.count % 4 != 0 { standard.append(UInt8(ascii: "=")) }
        return Data(base64Encoded: Data(standard)).map { Array($0) }
    }
}
