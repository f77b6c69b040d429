import LiveQueries
import Testing

struct RuleExpressionTests {
    @Test func `parameters are replaced where they are parameters`() throws {
        let rule = try RuleExpression(
            "owner = :sub AND ':sub' <> [:sub] /* :sub */ AND n > :least -- :sub",
            maxBytes: 1_000
        )
        #expect(rule.parameters == ["sub", "least"])
        #expect(
            rule.sql { "claim('\($0)')" }
                == "owner = claim('sub') AND ':sub' <> [:sub] /* :sub */ AND n > claim('least') -- :sub"
        )
    }

    @Test func `bytes of other characters stay as they are`() throws {
        let rule = try RuleExpression("name = 'cafe\u{301} 日本' AND x = :a", maxBytes: 1_000)
        #expect(Array(rule.sql { _ in "1" }.utf8) == Array("name = 'cafe\u{301} 日本' AND x = 1".utf8))
    }

    @Test(arguments: [
        "owner = :sub", "a IN (1, 2)", "NOT (a IN (:x, 'y'))", "[order] = 1", "`a` = 1", "abs(a) > 1",
        "coalesce(a, b) = 1", "'\"' = a",
        "CASE owner WHEN :sub THEN 1 END", "a LIKE 'x%' ESCAPE '\\'", "json_extract(a, '$.b') = 1",
    ])
    func `an expression over columns and claims is accepted`(sql: String) throws {
        _ = try RuleExpression(sql, maxBytes: 1_000)
    }

    @Test(arguments: [
        ("", "empty", 0), ("a = ?", "names no claim", 4), ("a = ?1", "names no claim", 4),
        ("a = @sub", "names no claim", 4),
        ("a = $sub", "names no claim", 4), (#""a" = 1"#, "double quotes", 0), ("a IN t", "IN needs a list", 2),
        ("a IN main.t", "IN needs a list", 2),
        ("a = (SELECT 1)", "subqueries", 5), ("a = 1; b", "one expression", 5), ("1) OR (1", "parenthesis", 1),
        ("name = ", "incomplete", 7), ("name = = 1", "near \"=\"", 7), ("nosuch(1) = 1", "no such function", 0),
        ("a > random()", "random", 4),
        ("a > date('now')", "time", 4), ("a > CURRENT_TIMESTAMP", "time", 4),
        ("a IN (WITH x AS (VALUES (1)) TABLE x)", "subqueries", 6),
    ])
    func `what is not is refused with its place`(_ sql: String, _ words: String, _ offset: Int) {
        let refusal = #expect(throws: LiveRefusal.self) { try RuleExpression(sql, maxBytes: 1_000) }
        #expect(refusal?.reason.contains(words) == true, "\(refusal?.reason ?? "")")
        #expect(refusal?.offset == offset)
    }

    @Test func `its length is limited`() {
        let long = "a = '" + String(repeating: "x", count: 1_000) + "'"
        let refusal = #expect(throws: LiveRefusal.self) { try RuleExpression(long, maxBytes: 1_000) }
        #expect(refusal?.code == .limit)
    }
}
