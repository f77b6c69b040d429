/// Lays out rows one below the other, a line for each value: for rows that are too wide for a table.
struct VerticalLayout: Sendable {
    private let titles: [String]
    private let palette: Palette
    private var rowNumber = 0

    init(titles: [String], palette: Palette) {
        let cells = titles.map { Cell(.text, $0) }
        let width = cells.map(\.width).max() ?? 0
        self.titles = cells.map { cell in
            String(repeating: " ", count: width - cell.width) + palette(.bold, cell.text)
        }
        self.palette = palette
    }

    /// The text of more rows, with its line breaks.
    mutating func append(_ rows: [[Cell]]) -> String {
        rows.reduce(into: "") { text, row in
            rowNumber += 1
            text += palette(.dim, "── row \(Figures.grouped(rowNumber)) ──") + "\n"
            for (title, cell) in zip(titles, row) { text += title + "  " + palette(cell.style, cell.text) + "\n" }
        }
    }
}
