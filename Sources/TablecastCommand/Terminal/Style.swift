/// How a piece of text looks on a terminal that has colours.
enum Style: String, Sendable {
    case plain = ""
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case magenta = "35"
    case cyan = "36"
    case boldRed = "1;31"
}

/// Turns styles into escape sequences, or drops them where they are not wanted.
struct Palette: Sendable {
    var hasColors: Bool

    static let plain = Palette(hasColors: false)
    static let colors = Palette(hasColors: true)

    func callAsFunction(_ style: Style, _ text: String) -> String {
        guard hasColors, style != .plain, !text.isEmpty else { return text }
        return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
    }
}
