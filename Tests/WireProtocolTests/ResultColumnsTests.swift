import Testing
import WireProtocol

struct ResultColumnsTests {
    @Test(
        arguments: [
            ([], []), (["a", "b"], ["a", "b"]), (["n", "n"], ["n", "n:1"]), (["n", "n", "n"], ["n", "n:1", "n:2"]),
            (["n", "n", "n:1"], ["n", "n:2", "n:1"]), (["n:1", "n", "n"], ["n:1", "n", "n:2"]),
            (["n", "N"], ["n", "N"]), (["", ""], ["", ":1"]),
            (["n:1", "n:1", "n", "n"], ["n:1", "n:1:1", "n", "n:2"]),
        ] as [([String], [String])]
    )
    func `every column has a name of its own`(names: [String], unique: [String]) {
        #expect(ResultColumns.uniqueNames(names) == unique)
    }

    @Test func `two thousand columns of one name get unique names quickly`() {
        let unique = ResultColumns.uniqueNames(Array(repeating: "n", count: 2_000))
        #expect(Set(unique).count == 2_000)
        #expect(unique.last == "n:1999")
    }
}
