import WebSocketTransport
import WireProtocol

/// A fixed list of bearer tokens with their rights: the simple form of access control.
///
/// A token is a secret of at least ``minTokenBytes``, for example from `openssl rand -hex 32`. It is compared in a time that
/// does not depend on how much of it is right.
public struct TokenList: Authenticator {
    /// A shorter one could be guessed.
    public static let minTokenBytes = 16
    /// A longer one does not fit into a request's headers.
    public static let maxTokenBytes = 4_096

    private struct Entry: Sendable {
        let token: [UInt8]
        let identity: Identity
    }

    private var entries: [Entry] = []

    public init() {}

    public var isEmpty: Bool { entries.isEmpty }

    /// - Throws: ``AuthenticationError`` for a token that is too short or too long, contains a character that cannot be
    ///   sent in a header, or is already in the list. The error never contains the token.
    public mutating func add(_ token: String, for identity: Identity) throws(AuthenticationError) {
        let bytes = Array(token.utf8)
        guard (Self.minTokenBytes...Self.maxTokenBytes).contains(bytes.count) else {
            throw AuthenticationError(
                "expected \(Self.minTokenBytes) to \(Self.maxTokenBytes) bytes, found \(bytes.count)"
            )
        }
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw AuthenticationError("expected visible ASCII characters without spaces")
        }
        guard !entries.contains(where: { $0.token == bytes }) else { throw AuthenticationError("duplicate token") }
        entries.append(Entry(token: bytes, identity: identity))
    }

    public func identity(of token: String) throws -> Identity {
        let bytes = Array(token.utf8)
        var found: Identity?
        for entry in entries where Self.areEqual(bytes, entry.token) { found = entry.identity }
        guard let found else { throw AuthenticationError("the token is unknown") }
        return found
    }

    /// Compares every byte, so that the time depends only on the length.
    private static func areEqual(_ given: [UInt8], _ known: [UInt8]) -> Bool {
        var difference = given.count ^ known.count
        for index in given.indices { difference |= Int(given[index] ^ known[index % known.count]) }
        return difference == 0
    }
}

extension TokenList {
    /// Reads `[{"token": "…", "role": "read-only", "username": "ada", "tables": ["album"], "channels": ["tables"],
    /// "rules": {"album": "owner = :sub"}, "claims": {"sub": "ada"}}]`, of which only the token is required; without a role the identity may only read.
    ///
    /// - Throws: ``AuthenticationError``, which names the entry and the field, and never contains a token.
    public init(parsing json: some Sequence<UInt8>) throws(AuthenticationError) {
        let bytes = Array(json)
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, rejectingDuplicateNames: true)
        } catch {
            throw AuthenticationError("\(Self.place(of: error.offset, in: bytes)): \(error.reason)")
        }
        guard case .array(let values) = value else {
            throw AuthenticationError("expected an array of objects, each with a token")
        }
        guard !values.isEmpty else { throw AuthenticationError("the array is empty; expected at least one token") }
        for (index, value) in values.enumerated() {
            do throws(AuthenticationError) {
                try add(value)
            } catch {
                throw AuthenticationError("entry \(index + 1): \(error.reason)")
            }
        }
    }

    /// The line and column of a byte offset.
    private static func place(of offset: Int, in bytes: [UInt8]) -> String {
        let before = bytes.prefix(offset)
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let column = String(decoding: before[lineStart...], as: UTF8.self).count + 1
        return "line \(line), column \(column)"
    }

    /// The identity of a token without a name: it stays the same when other entries are added or moved, and does not reveal
    /// the token.
    private static func id(of token: String) -> String {
        let digits = SHA1.hash("tablecast token \(token)".utf8).prefix(6).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return "token \(digits.joined())"
    }

    private static let fields: Set<String> = ["token", "role", "username", "tables", "channels", "rules", "claims"]

    private mutating func add(_ value: JSONValue) throws(AuthenticationError) {
        guard case .object(let fields) = value, case .string(let token)? = fields["token"] else {
            throw AuthenticationError("expected an object with a token")
        }
        // A misspelt restriction must not be ignored.
        if let unknown = fields.keys.sorted().first(where: { !Self.fields.contains($0) }) {
            let known = Self.fields.sorted().joined(separator: ", ")
            throw AuthenticationError("\(quoted(unknown)) is not one of \(known)")
        }
        var claims: [String: JSONValue] = [:]
        switch fields["claims"] {
        case nil, .null: break
        case .object(let values): claims = values
        default: throw AuthenticationError("claims: expected an object such as {\"sub\": \"ada\"}")
        }
        var identity = try Identity(id: Self.id(of: token), fields: fields, claims: claims)
        // Distinct from the ids of tokens without a name, which a user could otherwise choose.
        if let username = identity.username { identity.id = Identity.asciiID("user \(username)") }
        do throws(AuthenticationError) {
            try add(token, for: identity)
        } catch {
            throw AuthenticationError("token: \(error.reason)")
        }
    }
}
