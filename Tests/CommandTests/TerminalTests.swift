import Testing

@testable import TablecastCommand

struct TerminalTests {
    @Test(arguments: [
        ("plain", 5), ("三日月", 6), ("e\u{301}", 1), ("👩‍👩‍👧‍👦", 2), ("❤️", 2), ("❤", 1), ("한글", 4), ("", 0), ("ａ", 2),
        ("a\u{200B}b", 2),
        ("🇮🇸", 2), ("Ηχώ", 3),
    ])
    func `wide characters take two cells and marks none`(text: String, width: Int) {
        #expect(text.displayWidth == width)
    }

    @Test func `a cut text ends in an ellipsis and never takes more cells than it may`() {
        #expect("abcdef".truncated(toWidth: 4) == "abc…")
        #expect("abcd".truncated(toWidth: 4) == "abcd")
        #expect("三日月".truncated(toWidth: 4) == "三…")
        #expect("三日月".truncated(toWidth: 5) == "三日…")
        #expect("abc".truncated(toWidth: 0) == "")
    }

    @Test func `control characters are drawn and never reach the terminal`() {
        #expect("\u{1B}[31mred\u{7F}".printable == "␛[31mred␡")
        #expect("one\ntwo\tthree\r\n".printable == "one↵two→three␍↵")
        #expect("a\u{9B}b\u{202E}c\u{2066}".printable == "a\u{FFFD}b\u{FFFD}c\u{FFFD}")
        #expect("Ηχώ 👩‍👧".printable == "Ηχώ 👩‍👧")
    }

    @Test func `colours need a terminal, and NO_COLOR or a dumb one turns them off`() {
        func hasColors(_ isInteractive: Bool, noColor: String? = nil, term: String? = "xterm") -> Bool {
            Environment(noColor: noColor, term: term).palette(isInteractive: isInteractive).hasColors
        }
        #expect(hasColors(true))
        #expect(!hasColors(false))
        #expect(!hasColors(true, noColor: "1"))
        #expect(hasColors(true, noColor: ""))
        #expect(!hasColors(true, term: "dumb"))
    }

    @Test func `a palette wraps text in escapes, or leaves it unchanged`() {
        #expect(Palette.colors(.red, "x") == "\u{1B}[31mx\u{1B}[0m")
        #expect(Palette.colors(.plain, "x") == "x")
        #expect(Palette.colors(.red, "") == "")
        #expect(Palette.plain(.red, "x") == "x")
    }

    @Test func `figures are grouped by thousands`() {
        #expect(
            [0, 999, 1000, 1_234_567, -1234, Int.min].map(Figures.grouped) == [
                "0", "999", "1,000", "1,234,567", "-1,234", "-9,223,372,036,854,775,808",
            ]
        )
    }

    @Test func `durations grow from milliseconds to hours`() {
        let durations: [Duration] = [.milliseconds(850), .milliseconds(3290), .seconds(125), .seconds(3665)]
        #expect(durations.map(Figures.seconds) == ["850 ms", "3.2 s", "2:05", "1:01:05"])
    }

    @Test func `the time of day is local and has milliseconds`() {
        #expect(Figures.clock(unixMilliseconds: 1_738_454_400_042, utcOffset: .zero) == "00:00:00.042")
        #expect(Figures.clock(unixMilliseconds: 1_738_454_400_999, utcOffset: .seconds(-3600)) == "23:00:00.999")
    }
}
