import Synchronization

/// A line at the bottom of the terminal that is redrawn. It prints nothing when stderr is not a terminal.
///
/// May be used from any thread.
final class StatusLine: Sendable {
    private let terminal: Terminal
    private let isShown = Mutex(false)

    init(_ terminal: Terminal = .error) { self.terminal = terminal }

    func show(_ line: (_ width: Int, Palette) -> String) {
        guard terminal.isInteractive else { return }
        // The last cell stays free: filling it would wrap the line.
        let text = line(terminal.columnCount - 1, terminal.palette)
        isShown.withLock { isShown in
            isShown = true
            terminal.redraw(text)
        }
    }

    /// Removes the line, so that something else can be printed.
    func clear() {
        isShown.withLock { isShown in
            if isShown { terminal.redraw("") }
            isShown = false
        }
    }
}

/// A line of text in several styles, which is truncated to the terminal's width only when it is printed.
struct StyledLine: Sendable, Hashable {
    struct Span: Sendable, Hashable {
        var style: Style
        var text: String
    }

    private(set) var spans: [Span] = []

    mutating func append(_ text: String, _ style: Style = .plain) { spans.append(Span(style: style, text: text)) }

    func rendered(width: Int, _ palette: Palette) -> String {
        var rest = width
        var result = ""
        for span in spans where rest > 0 {
            let text = rest == .max ? span.text : span.text.truncated(toWidth: rest)
            result += palette(span.style, text)
            if rest != .max { rest -= text.displayWidth }
        }
        return result
    }
}

/// The style of a piece of text on a terminal with colours.
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

/// Converts styles to escape sequences, or omits them.
struct Palette: Sendable {
    var hasColors: Bool

    static let plain = Palette(hasColors: false)
    static let colors = Palette(hasColors: true)

    func callAsFunction(_ style: Style, _ text: String) -> String {
        guard hasColors, style != .plain, !text.isEmpty else { return text }
        return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
    }
}

/// The line on stderr with the progress of a query.
struct ProgressBar: Sendable, Hashable {
    /// 0 to 100; nil when the service has no reliable estimate.
    var percentage: Double?
    var rowCount: Int
    var elapsed: Duration
    var message: String

    /// One line, without a line break, of at most `width` cells.
    func line(width: Int, palette: Palette) -> String {
        let figures = [
            percentage.map { "\(Int($0.rounded(.down)))%" },
            rowCount > 0 ? Figures.counted(rowCount, "row") : nil,
            Figures.seconds(elapsed),
            message.isEmpty ? nil : message.printable,
        ]
        let text = figures.compactMap { $0 }.joined(separator: "  ")
        let barWidth = min(30, width - text.displayWidth - 2)
        guard let percentage, barWidth >= 5 else {
            return text.truncated(toWidth: width)
        }
        return palette(.green, Self.bar(percentage, width: barWidth)) + "  " + text
    }

    /// Filled in steps of an eighth of a cell.
    private static func bar(_ percentage: Double, width: Int) -> String {
        let eighths = Int(min(max(percentage, 0), 100) / 100 * Double(width * 8))
        let full = eighths / 8
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let rest = width - full - (partial.isEmpty ? 0 : 1)
        return String(repeating: "█", count: full) + partial + String(repeating: "░", count: rest)
    }
}
