import Testing

@testable import TablecastCommand

struct TableLayoutTests {
    @Test func `columns are as wide as their widest value, and numbers stand to the right`() {
        var layout = ColumnLayout(titles: ["name", "sold"], lineWidth: 80, palette: .plain)
        #expect(
            print(&layout, [[Cell(.text, "三日月"), Cell(.number, "7")], [Cell(.text, "x"), Cell(.number, "12")]]) == ""
        )
        #expect(
            flush(&layout) == """
                name    sold
                ──────  ────
                三日月     7
                x         12

                """
        )
    }

    @Test func `an empty result still shows its columns`() {
        var layout = ColumnLayout(titles: ["a", "b"], lineWidth: 80, palette: .plain)
        #expect(flush(&layout) == "a  b\n─  ─\n")
        #expect(flush(&layout) == "")
    }

    @Test func `rows after the sample keep its widths and are cut`() {
        var layout = ColumnLayout(titles: ["t"], lineWidth: 80, palette: .plain)
        let sample = Array(repeating: [Cell(.text, "abcd")], count: ColumnLayout.maxSampleRows)
        #expect(print(&layout, sample).hasPrefix("t\n────\nabcd\n"))
        #expect(print(&layout, [[Cell(.text, "abcdefgh")]]) == "abc…\n")
    }

    @Test func `the widest columns give way when a line is too short`() {
        #expect(ColumnLayout.fit([10, 30, 50], into: 100) == [10, 30, 50])
        #expect(ColumnLayout.fit([10, 30, 50], into: 60) == [10, 25, 25])
        #expect(ColumnLayout.fit([10, 30, 50], into: 5) == [4, 4, 4])
    }

    @Test func `without a limit nothing is cut, and a long value does not widen its column without end`() {
        var layout = ColumnLayout(titles: ["a", "b"], lineWidth: .max, palette: .plain)
        let long = String(repeating: "x", count: 1000)
        _ = print(&layout, [[Cell(.text, long), Cell(.text, "y")], [Cell(.text, "z"), Cell(.text, "y")]])
        let lines = flush(&layout).split(separator: "\n")
        #expect(lines[2] == "\(long)  y")
        #expect(lines[3].count == ColumnLayout.maxPaddedWidth + 3)
    }

    @Test func `a value with a line break stays on its line`() {
        var layout = ColumnLayout(titles: ["t"], lineWidth: 80, palette: .plain)
        _ = print(&layout, [[Cell(.text, "one\ntwo")]])
        #expect(flush(&layout) == "t\n───────\none↵two\n")
    }

    @Test func `colours do not count as width`() {
        var layout = ColumnLayout(titles: ["a", "b"], lineWidth: 80, palette: .colors)
        _ = print(&layout, [[Cell(.null, "NULL"), Cell(.text, "x")]])
        #expect(flush(&layout).hasSuffix("\u{1B}[2mNULL\u{1B}[0m  x\n"))
    }

    private func print(_ layout: inout ColumnLayout, _ rows: [[Cell]]) -> String { layout.append(rows) }

    private func flush(_ layout: inout ColumnLayout) -> String { layout.flush() }
}
