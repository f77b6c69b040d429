/// A line of text in several styles, which is cut to the terminal's width only when it is printed.
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
