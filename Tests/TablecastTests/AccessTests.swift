import NIOCore
import QueryEngine
import Testing
import WireProtocol

@testable import Tablecast

/// Valid tokens, and the rights of identities.
struct AccessTests {
    private let secret = "0123456789abcdef"

    // MARK: The token of a request

    @Test func `a token is found in the header and in the address`() throws {
        #expect(try BearerToken.find(authorization: ["Bearer abc"], uri: "/ws") == "abc")
        #expect(try BearerToken.find(authorization: ["bearer  abc"], uri: "/ws") == "abc")
        #expect(try BearerToken.find(authorization: [], uri: "/ws?channels=tables&access_token=a%2Bb") == "a+b")
        #expect(try BearerToken.find(authorization: [], uri: "/ws?access_token=") == nil)
        #expect(try BearerToken.find(authorization: [], uri: "/ws") == nil)
    }

    @Test func `a request with two tokens is ambiguous`() {
        let twice = #expect(throws: AccessRefusal.self) {
            try BearerToken.find(authorization: ["Bearer abc"], uri: "/ws?access_token=abc")
        }
        #expect(twice?.kind == .badRequest)
        #expect(throws: AccessRefusal.self) { try BearerToken.find(authorization: ["Bearer a", "Bearer b"], uri: "/") }
        #expect(throws: AccessRefusal.self) {
            try BearerToken.find(authorization: [], uri: "/?access_token=a&access_token=b")
        }
    }

    @Test(arguments: ["Basic YTpi", "Bearer", "", "Bearer "])
    func `another scheme is not a token`(field: String) {
        let refusal = #expect(throws: AccessRefusal.self) { try BearerToken.find(authorization: [field], uri: "/ws") }
        #expect(refusal?.kind == .unauthorized)
    }

    @Test func `a challenge holds no characters that end it early`() {
        let refusal = AccessRefusal.invalid("a \"quoted\" \\ line\r\nSet-Cookie: x ü")
        #expect(
            refusal.challenge
                == "Bearer realm=\"tablecast\", error=\"invalid_token\", error_description=\"a quoted  lineSet-Cookie: x \""
        )
    }

    // MARK: Token lists

    @Test func `a list knows its own tokens and no beginning of them`() throws {
        var list = TokenList()
        try list.add(secret, for: Identity(id: "ada", role: .admin))
        #expect(try list.identity(of: secret).id == "ada")
        for wrong in ["", "0", "0123456789abcde", secret + "0", secret + secret, "0123456789abcdeF"] {
            #expect(throws: AuthenticationError.self) { try list.identity(of: wrong) }
        }
    }

    @Test func `a list is read from JSON`() throws {
        let list = try TokenList(
            parsing: """
                [{"token": "0123456789abcdef", "role": "read-write", "username": "ada", "tables": ["a"],
                  "channels": ["tables", "queries"]},
                 {"token": "fedcba9876543210"}]
                """.utf8
        )
        let expected = Identity(
            id: "user ada",
            username: "ada",
            role: .readWrite,
            tables: ["a"],
            channels: [.tables, .queries]
        )
        #expect(try list.identity(of: secret) == expected)
        let unnamed = try list.identity(of: "fedcba9876543210")
        #expect(unnamed == Identity(id: unnamed.id, role: .readOnly))
    }

    @Test func `the identity of a token without a name does not depend on the other entries`() throws {
        let entry = #"{"token": "fedcba9876543210"}"#
        let first = try TokenList(parsing: "[\(entry)]".utf8).identity(of: "fedcba9876543210")
        let list = try TokenList(parsing: #"[{"token": "0123456789abcdef"}, \#(entry)]"#.utf8)
        #expect(try list.identity(of: "fedcba9876543210") == first)
        #expect(try list.identity(of: "0123456789abcdef").id != first.id)
        #expect(first.id.hasPrefix("token ") && first.id.count == 18)
    }

    @Test(arguments: [
        ("{}", "an array"), ("[]", "empty"), ("[1]", "entry 1"), ("[{\"role\": \"admin\"}]", "entry 1"),
        ("[{\"token\": \"short\"}]", "16"), ("[{\"token\": \"0123456789abcde\\n\"}]", "visible"),
        ("[{\"token\": \"0123456789abcdef\", \"role\": \"root\"}]", "role"),
        ("[{\"token\": \"0123456789abcdef\", \"table\": [\"a\"]}]", "\"table\""),
        ("[{\"token\": \"0123456789abcdef\", \"tables\": \"a\"}]", "tables"),
        ("[{\"token\": \"0123456789abcdef\", \"channels\": [\"nonsense\"]}]", "channels"),
        ("[{\"token\": \"0123456789abcdef\", \"tables\": null}]", "tables"),
        ("[{\"token\": \"0123456789abcdef\", \"channels\": null}]", "channels"),
        ("[{\"token\": \"0123456789abcdef\", \"rules\": null}]", "rules"),
        ("[{\"token\": \"0123456789abcdef\", \"role\": \"relay\", \"tables\": [\"a\"]}]", "a relay has no tables"),
        (#"[{"token": "0123456789abcdef", "role": "relay", "rules": {"a": "b = 1"}}]"#, "a relay has no tables"),
        ("[{\"token\": \"0123456789abcdef\"}, {\"token\": \"0123456789abcdef\"}]", "duplicate token"),
        ("[{\"token\": \"0123456789abcdef\", \"username\": \"\"}]", "username"), ("[", ""),
        (
            "[{\"token\": \"0123456789abcdef\",\n\"tables\": [\"a\"], \"tables\": null}]",
            "line 2, column 18: duplicate field"
        ),
    ])
    func `a wrong list is refused with what is wrong, and never with a token`(json: String, word: String) throws {
        let error = try #require(throws: AuthenticationError.self) { try TokenList(parsing: json.utf8) }
        #expect(error.reason.contains(word))
        #expect(!error.reason.contains(secret))
    }

    @Test func `the first authenticator that knows a token answers`() async throws {
        var first = TokenList()
        try first.add(secret, for: Identity(id: "one", role: .readOnly))
        var second = TokenList()
        try second.add("fedcba9876543210", for: Identity(id: "two", role: .readOnly))
        let both = FirstAuthenticator([first, second])
        #expect(try await both.identity(of: secret).id == "one")
        #expect(try await both.identity(of: "fedcba9876543210").id == "two")
        await #expect(throws: AuthenticationError.self) { try await both.identity(of: "nobody knows this") }
    }

    // MARK: Rights

    @Test func `a role may do what those before it may`() throws {
        #expect(Role.readOnly < Role.readWrite && Role.readWrite < Role.admin)
        try Identity(id: "a", role: .admin).require(.admin, for: "broadcasting")
        let error = #expect(throws: ProtocolError.self) {
            try Identity(id: "a", role: .readWrite).require(.admin, for: "broadcasting")
        }
        #expect(error == ProtocolError(.forbidden, "broadcasting is for the role admin; this token's is read-write"))
    }

    @Test func `SQL may do what the role and the service allow`() {
        #expect(Identity(id: "a", role: .readOnly).sqlPolicy(isReadOnlyService: false) == .readOnly)
        #expect(Identity(id: "a", role: .readWrite).sqlPolicy(isReadOnlyService: false) == .readWrite)
        #expect(Identity(id: "a", role: .admin).sqlPolicy(isReadOnlyService: false) == .admin)
        #expect(Identity(id: "a", role: .admin).sqlPolicy(isReadOnlyService: true) == .readOnly)
        #expect(Identity.anonymous.sqlPolicy(isReadOnlyService: false) == .readWrite)
        let policy = Identity(id: "a", role: .readWrite, tables: ["T"]).sqlPolicy(isReadOnlyService: false)
        #expect(policy.readableTables == ["t"])
        #expect(policy.writableTables == ["t"])
    }

    @Test func `a subscription keeps the tables that are allowed`() throws {
        let identity = Identity(id: "a", role: .readOnly, tables: ["orders", "Order_items", "a*"])
        func tables(_ names: [String]?) throws(ProtocolError) -> [String]? {
            let filter = try TableFilter(tables: names, rowLevel: .values)
            let narrowed = try identity.narrowed(SubscribeRequest(channel: .tables, filter: filter)).filter
            #expect(narrowed.rowLevel == .values)
            return narrowed.tables
        }
        #expect(try tables(["ORDERS"]) == ["orders"])
        #expect(try tables(["order*"]) == ["order_items", "orders"])
        for name in ["secret", "orders2", "ab"] { #expect(throws: ProtocolError.self) { try tables([name]) } }
        #expect(throws: ProtocolError.self) { try tables(["orders", "secret"]) }
        #expect(throws: ProtocolError.self) { try tables(["s*"]) }
        // A name with a wildcard in it matches only itself.
        let everything = try identity.narrowed(SubscribeRequest(channel: .tables)).filter
        #expect(everything.includes(table: "a*") && everything.includes(table: "ORDERS"))
        #expect(!everything.includes(table: "ab") && !everything.includes(table: "secret"))
        // For Swift the wildcard and the mark after it are one character.
        let marked = Identity(id: "a", role: .readOnly, tables: ["a*\u{301}"])
        let filter = try marked.narrowed(SubscribeRequest(channel: .tables)).filter
        #expect(filter.includes(table: "a*\u{301}") && !filter.includes(table: "abc\u{301}"))
        let none = Identity(id: "a", role: .readOnly, tables: [])
        #expect(throws: ProtocolError.self) { try none.narrowed(SubscribeRequest(channel: .tables)) }
    }

    @Test func `a client with a list of tables does not receive the SQL of others`() throws {
        let some = Identity(id: "a", role: .readOnly, tables: ["t"])
        try some.require(.tables)
        #expect(throws: ProtocolError.self) { try some.require(.queries) }
        let told = Identity(id: "a", role: .readOnly, tables: ["t"], channels: [.queries])
        try told.require(.queries)
        try told.require(.notifications)
        #expect(throws: ProtocolError.self) { try told.require(.tables) }
        try Identity.anonymous.require(.queries)
    }

    @Test func `an expiry far away is looked at again and again`() {
        #expect(Identity(id: "a", role: .admin).timeUntilExpiryCheck == nil)
        #expect(Identity(id: "a", role: .admin, expiresAt: .min).timeUntilExpiryCheck == .zero)
        #expect(Identity(id: "a", role: .admin, expiresAt: .max).timeUntilExpiryCheck == .minutes(1))
    }
}
