/// The line on stderr that shows how far a query is.
struct ProgressBar: Sendable, Hashable {
    /// 0 to 100; nil where the service has no honest estimate.
    var percentage: Double?
    var rowCount: Int
    var elapsed: Duration
    var message: String

    /// One line, without a line break, of at most so many cells.
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

    /// Filled to an eighth of a cell.
    private static func bar(_ percentage: Double, width: Int) -> String {
        let eighths = Int(min(max(percentage, 0), 100) / 100 * Double(width * 8))
        let full = eighths / 8
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let rest = width - full - (partial.isEmpty ? 0 : 1)
        return String(repeating: "█", count: full) + partial + String(repeating: "░", count: rest)
    }
}
