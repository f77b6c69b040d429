import Testing

@testable import TablecastCommand

struct QueryOutputTests {
    @Test func `fields with commas, quotes and line breaks are quoted`() {
        #expect(
            CSVLine.encode(["a", "b,c", "d\"e", "f\ng", " h", "i\r\nj"])
                == "a,\"b,c\",\"d\"\"e\",\"f\ng\",\" h\",\"i\r\nj\"\n"
        )
    }

    @Test func `NULL and the empty text differ`() {
        #expect(CSVLine.encode([nil, "", nil]) == ",\"\",\n")
    }

    @Test func `a quote with an accent on it is still doubled`() {
        #expect(CSVLine.encode(["a\"\u{301},"]) == "\"a\"\"\u{301},\"\n")
    }

    @Test func `a bar shows the share that is done`() {
        let bar = ProgressBar(percentage: 50, rowCount: 1200, elapsed: .milliseconds(1500), message: "sorting")
        #expect(
            bar.line(width: 80, palette: .plain) == "███████████████░░░░░░░░░░░░░░░  50%  1,200 rows  1.5 s  sorting"
        )
        #expect(bar.line(width: 44, palette: .plain) == "█████▌░░░░░  50%  1,200 rows  1.5 s  sorting")
    }

    @Test func `without an estimate there is no bar and no percentage`() {
        let bar = ProgressBar(percentage: nil, rowCount: 1, elapsed: .seconds(61), message: "")
        #expect(bar.line(width: 80, palette: .plain) == "1 row  1:01")
    }

    @Test(arguments: 1...100)
    func `the bar never takes more cells than it may`(width: Int) {
        for percentage in stride(from: 0.0, through: 100, by: 0.7) {
            let bar = ProgressBar(percentage: percentage, rowCount: 9_999_999, elapsed: .seconds(9), message: "日本")
            #expect(bar.line(width: width, palette: .plain).displayWidth <= width)
        }
    }

    @Test func `the caret stands under the offset`() throws {
        let excerpt = try #require(SQLExcerpt(sql: "SELECT naïve FORM t", offset: 14, width: 80))
        #expect(excerpt.rendered(.plain) == "  SELECT naïve FORM t\n               ^")
    }

    @Test func `the line of a script is found and named`() throws {
        let sql = "SELECT 1;\nSELECT '三', x;\nSELECT 2"
        let offset = try #require(Array(sql.utf8).firstIndex(of: UInt8(ascii: "x")))
        let excerpt = try #require(SQLExcerpt(sql: sql, offset: offset, width: 80))
        #expect(excerpt.rendered(.plain) == "line 2: SELECT '三', x;\n                     ^")
    }

    @Test func `a long line is cut around the place`() throws {
        let sql = String(repeating: "a", count: 500) + "!" + String(repeating: "b", count: 500)
        let excerpt = try #require(SQLExcerpt(sql: sql, offset: 500, width: 40))
        #expect(excerpt.line.displayWidth <= 40)
        #expect(Array(excerpt.line)[excerpt.caretColumn] == "!")
    }

    @Test func `an offset outside of the script has no excerpt`() {
        #expect(SQLExcerpt(sql: "x", offset: 2, width: 80) == nil)
        #expect(SQLExcerpt(sql: "x", offset: -1, width: 80) == nil)
        #expect(SQLExcerpt(sql: "x", offset: 1, width: 80)?.rendered(.plain) == "  x\n   ^")
    }
}
