import Testing

@testable import WireProtocol

@Suite struct TableFilterTests {
    @Test(arguments: [
        ("users", "users", true), ("users", "Users", true), ("Users", "users", true), ("users", "users2", false),
        ("user?", "users", true),
        ("user?", "user", false), ("caf?", "café", true), ("*", "anything", true), ("a*", "a", true),
        ("a*b*c", "aXXbYYc", true),
        ("a*b*c", "aXXbYY", false), ("*a*a*a*", "aa", false), ("[ab]x", "bx", true), ("[ab]x", "cx", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false), ("[^a-c]x", "dx", true), ("[]]x", "]x", true), ("[a-]x", "-x", true),
        ("[ab", "a", false),
        ("a[1]", "a[1]", true), ("a[1]", "a1", true), ("[ä-ö]", "ö", true), ("", "x", false), ("**x**", "yx", true),
    ])
    func `a pattern matches names as GLOB does, letters of either case`(pattern: String, name: String, matches: Bool) {
        #expect(GlobPattern(pattern).matches(name) == matches)
    }

    @Test func `a pattern of many stars takes no longer than the product of the lengths`() {
        let pattern = GlobPattern(String(repeating: "*a", count: 100) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 10_000)))
    }

    @Test func `filters that ask for the same are equal`() throws {
        let first = try TableFilter(tables: ["b", "a", "B"], rowLevel: .keys)
        #expect(try first == TableFilter(tables: ["A", "b"], rowLevel: .keys))
        #expect(try TableFilter(tables: ["x", "*"]) == .everything)
        #expect(try TableFilter(operations: .schema, rowLevel: .values) == TableFilter(operations: .schema))
        #expect(try first != TableFilter(tables: ["A", "b"], rowLevel: .values))
        #expect(first.tables == ["a", "b"])
    }

    @Test func `limits are named`() throws {
        #expect(throws: ProtocolError(.invalidMessage, "tables: expected 1 to 64 names, found 0")) {
            try TableFilter(tables: [])
        }
        #expect(throws: ProtocolError.self) { try TableFilter(tables: (0..<65).map { "t\($0)" }) }
        #expect(throws: ProtocolError.self) { try TableFilter(tables: [String(repeating: "x", count: 257)]) }
        #expect(throws: ProtocolError.self) { try TableFilter(tables: [""]) }
        #expect(throws: ProtocolError(.invalidMessage, "operations: expected at least one, found none")) {
            try TableFilter(operations: [])
        }
    }
}
