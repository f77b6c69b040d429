import OracleSupport
import Testing

@Suite struct ScriptShrinkerTests {
    private static func shrink(
        _ count: Int,
        maxTries: Int = 5_000,
        fails: ([String]) -> Bool
    ) -> (script: [String], tries: Int) {
        var shrinker = ScriptShrinker((0..<count).map { ScriptStep("\($0)") }, maxTries: maxTries)
        var tries = 0
        while let candidate = shrinker.next() {
            tries += 1
            shrinker.candidateDid(fail: fails(candidate.map(\.sql)))
        }
        return (shrinker.script.map(\.sql), tries)
    }

    @Test func `a failing script is shrunk to the statements that matter`() {
        let result = Self.shrink(500) { $0.contains("31") && $0.contains("32") && $0.contains("499") }
        #expect(result.script == ["31", "32", "499"])
        #expect(result.tries < 200)
    }

    @Test func `a script that fails only as a whole stays as it is`() {
        #expect(Self.shrink(20) { $0.count == 20 }.script.count == 20)
    }

    @Test func `shrinking ends after so many tries`() {
        let result = Self.shrink(500, maxTries: 7) { $0.contains("31") }
        #expect(result.tries == 7)
        #expect(result.script.contains("31"))
    }

    @Test func `a script that fails without any statement shrinks to none`() {
        #expect(Self.shrink(9) { _ in true }.script.isEmpty)
    }
}
