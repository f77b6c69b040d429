import LiveQueries
import QueryEngine
import SQLiteConnection
import Testing
import WireProtocol

@testable import Tablecast

/// Row rules of tokens, as far as they are known without a database.
struct RowRulesTests {
    private func rules(_ json: String, claims: [String: JSONValue] = ["sub": .string("ada")]) throws -> RowRules {
        try RowRules(parsing: JSONValue(parsing: Array(json.utf8)), claims: claims)
    }

    @Test func `a rule is an expression, or an object with where and check`() throws {
        let short = try rules(#"{"Orders": "owner = :sub"}"#)
        #expect(try short == rules(#"{"orders": {"where": "owner = :sub"}}"#))
        #expect(short.tables == ["orders"])
        #expect(short.hasRule(for: "ORDERS") && !short.hasRule(for: "items"))
        #expect(short.sqlRules.rules[0].check == short.sqlRules.rules[0].condition)
        let checked = try rules(#"{"orders": {"where": "owner = :sub", "check": "state <> 'paid'"}}"#)
        #expect(checked != short)
        #expect(checked.tableRules == short.tableRules)
        #expect(checked.sqlRules.rules[0].check == "state <> 'paid'")
    }

    @Test(arguments: [
        (#"{"t": {"check": "1"}}"#, "rules.t"), (#"{"t": {"where": 1}}"#, "rules.t"),
        (#"{"t": {"where": "1", "check": 1}}"#, "rules.t"),
        (#"{"t": {"where": "1", "chekc": "1"}}"#, "\"chekc\""),
        (#"{"t": {"where": "1", "check": "1) OR (1"}}"#, "rules.t.check"),
        (#"{"t": "1", "T": "1"}"#, "two for the table"), (#"["t"]"#, "expected an object"), (#"{"": "1"}"#, "1 to"),
    ])
    func `a malformed rule is refused by its place`(_ json: String, _ place: String) {
        let error = #expect(throws: AuthenticationError.self) { try rules(json) }
        #expect(error?.reason.contains(place) == true, "\(error?.reason ?? "")")
        #expect(error?.isForbidden == false)
    }

    @Test func `a claim that is missing, or cannot be compared, is forbidden`() throws {
        for claims: [String: JSONValue] in [
            [:], ["sub": .null], ["sub": .array([.string("ada")])], ["sub": .object([:])],
        ] {
            for json in [#"{"t": "owner = :sub"}"#, #"{"t": {"where": "1", "check": "owner = :sub"}}"#] {
                let error = #expect(throws: AuthenticationError.self) { try rules(json, claims: claims) }
                #expect(error?.isForbidden == true && error?.reason.contains("claim sub") == true)
            }
        }
        #expect(try !rules(#"{"t": "1"}"#, claims: [:]).isEmpty)
    }

    @Test func `claims are bound with their types, and only those that are used`() throws {
        let made = try rules(
            #"{"t": "a = :n AND b = :f AND c = :yes"}"#,
            claims: ["n": .integer(3), "f": .number(1.5), "yes": .bool(true), "other": .string("x")]
        )
        #expect(made.sqlRules.claims == ["n": .integer(3), "f": .real(1.5), "yes": .integer(1)])
        let condition = made.tableRules[0].condition
        #expect(condition.parameters == .named(["n": .integer(3), "f": .real(1.5), "yes": .integer(1)]))
        #expect(
            made.sqlRules.rules[0].condition
                == "a = tablecast_claim('n') AND b = tablecast_claim('f') AND c = tablecast_claim('yes')"
        )
    }

    @Test func `rules are equal by their bytes and claims`() throws {
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}")
        func made(_ value: String) throws -> RowRules { try rules(#"{"t": "a = '\#(value)'"}"#) }
        #expect(composed == decomposed)
        #expect(try made(composed) != made(decomposed))
        let json = #"{"t": "a = :sub"}"#
        #expect(
            try rules(json, claims: ["sub": .string(composed)]) != rules(json, claims: ["sub": .string(decomposed)])
        )
        #expect(
            try rules(json, claims: ["sub": .string("a"), "x": .integer(1)])
                == rules(json, claims: ["sub": .string("a")])
        )
        let rights = try [composed, decomposed].map { value in
            Identity(id: "x", role: .readOnly, rules: try rules(json, claims: ["sub": .string(value)])).liveRights
                .identity
        }
        #expect(!rights[0].utf8.elementsEqual(rights[1].utf8))
    }

    @Test func `an identity with rules reads its tables, and writes single rows by its role`() throws {
        let made = try rules(#"{"orders": "owner = :sub"}"#)
        for (role, level) in [
            (Role.readOnly, SQLPolicy.Level.readOnly), (.readWrite, .readWrite), (.admin, .admin), (.relay, .readOnly),
        ] {
            let identity = Identity(id: "ada", role: role, rules: made)
            #expect(identity.tables == ["orders"])
            #expect(identity.sqlPolicy(isReadOnlyService: false).level == .readOnly)
            #expect(identity.rowPolicy(isReadOnlyService: false).level == level)
            #expect(identity.rowPolicy(isReadOnlyService: true).level == .readOnly)
            #expect(identity.rowPolicy(isReadOnlyService: false).rowRules == made.sqlRules)
        }
    }
}

struct TokenRenewalTests {
    private func identity(_ id: String = "ada", _ adjust: (inout Identity) -> Void = { _ in })
        -> Identity
    {
        var identity = Identity(id: id, username: "Ada", role: .readWrite, tables: ["orders"], expiresAt: 1_000)
        adjust(&identity)
        return identity
    }

    @Test func `the same rights continue until the new token expires`() throws {
        let (next, renewal) = try identity().renewal(.success(identity { $0.expiresAt = 2_000 }))
        #expect(renewal == .continues)
        #expect(next.expiresAt == 2_000)
    }

    @Test func `other rights end the connection`() throws {
        let rules = try RowRules(["orders": .init(where: "owner = :sub")], claims: ["sub": .text("ada")])
        let others: [(inout Identity) -> Void] = [
            { $0.role = .readOnly }, { $0.tables = ["orders", "items"] }, { $0.tables = nil },
            { $0.channels = [.tables] },
            { $0.rules = rules },
        ]
        for change in others {
            let (_, renewal) = try identity().renewal(.success(identity { change(&$0) }))
            #expect(renewal == .reconnects)
        }
        var (before, after) = (identity { $0.rules = rules }, identity { $0.rules = rules })
        #expect(try before.renewal(.success(after)).1 == .continues)
        after.rules = try RowRules(["orders": .init(where: "owner = :sub")], claims: ["sub": .text("bob")])
        #expect(try before.renewal(.success(after)).1 == .reconnects)
        before.rules = try RowRules(["orders": .init(where: "1", check: "1")], claims: [:])
        after.rules = try RowRules(["orders": .init(where: "1", check: "0")], claims: [:])
        #expect(try before.renewal(.success(after)).1 == .reconnects)
    }

    @Test func `a token of another user, or one that is not valid, changes nothing`() throws {
        for other in [identity("bob"), identity { $0.username = "Bob" }, identity { $0.username = nil }] {
            let error = #expect(throws: ProtocolError.self) { try identity().renewal(.success(other)) }
            #expect(error?.code == .forbidden)
        }
        for (refusal, code) in [(AccessRefusal.expired, ErrorCode.unauthorized), (.unavailable, .busy)] {
            let error = #expect(throws: ProtocolError.self) { try identity().renewal(.failure(refusal)) }
            #expect(error?.code == code)
        }
    }
}
