/// Formats rows as an aligned table while they arrive.
///
/// The first rows determine the column widths; they are held back until there are ``maxSampleRows`` of them or the
/// result ends. Later rows keep those widths, and longer values are truncated with an ellipsis. So a result of any size
/// streams in constant memory, and a small one is formatted without truncation if it fits. Rows that do not fit even
/// with the minimum column widths are printed with one value per line.
struct ColumnLayout: Sendable {
    static let maxSampleRows = 200
    /// When lines have no limit nothing is truncated, and columns are padded up to this width.
    static let maxPaddedWidth = 60
    /// The minimum width of a truncated column.
    static let minWidth = 4

    private let names: [String]
    private let titles: [Cell]
    private let lineWidth: Int
    private let palette: Palette
    private var sample: [[Cell]] = []
    /// Determined once the sample is complete.
    private var columns: [Column]?
    /// Set when a table does not fit.
    private var vertical: VerticalLayout?

    private struct Column: Sendable {
        var width: Int
        var isNumeric: Bool
    }

    /// - Parameter lineWidth: The maximum width of a line in cells; `.max` for no limit.
    init(titles: [String], lineWidth: Int, palette: Palette) {
        names = titles
        self.titles = titles.map { Cell(.text, $0) }
        self.lineWidth = lineWidth
        self.palette = palette
    }

    /// Adds rows; returns the text to print now, with its line breaks.
    mutating func append(_ rows: [[Cell]]) -> String {
        guard let columns else {
            sample += rows
            return sample.count >= Self.maxSampleRows ? flush() : ""
        }
        if vertical != nil { return vertical?.append(rows) ?? "" }
        return rows.reduce(into: "") { $0 += line($1, columns) }
    }

    /// The result is complete, or the first rows have been held back long enough: returns the held text.
    mutating func flush() -> String {
        guard columns == nil else { return "" }
        let columns = decideColumns()
        self.columns = columns
        defer { sample = [] }
        guard !sample.isEmpty, !fits(columns) else {
            return sample.reduce(into: header(columns)) { $0 += line($1, columns) }
        }
        var vertical = VerticalLayout(titles: names, palette: palette)
        defer { self.vertical = vertical }
        return vertical.append(sample)
    }

    private func fits(_ columns: [Column]) -> Bool {
        isUnlimited || columns.reduce(2 * max(columns.count - 1, 0)) { $0 + $1.width } <= lineWidth
    }

    private func decideColumns() -> [Column] {
        var columns = titles.indices.map { index in
            let cells = sample.lazy.compactMap { $0.indices.contains(index) ? $0[index] : nil }
            let isNumeric = cells.contains { $0.kind == .number } && !cells.contains { $0.kind == .text }
            return Column(width: cells.reduce(max(titles[index].width, 1)) { max($0, $1.width) }, isNumeric: isNumeric)
        }
        let needed = columns.map(\.width)
        let widths =
            isUnlimited
            ? needed.map { min($0, Self.maxPaddedWidth) }
            : Self.fit(needed, into: lineWidth - 2 * max(columns.count - 1, 0))
        for index in columns.indices { columns[index].width = widths[index] }
        return columns
    }

    /// Narrows the widest columns until all of them fit; no column gets narrower than four cells.
    static func fit(_ widths: [Int], into room: Int) -> [Int] {
        guard widths.reduce(0, +) > room else { return widths }
        // The width limit at which the sum just fits: narrower columns are not truncated.
        var low = minWidth
        var high = max(widths.max() ?? minWidth, minWidth)
        while low < high {
            let cap = (low + high + 1) / 2
            if widths.reduce(0, { $0 + min($1, cap) }) <= room { low = cap } else { high = cap - 1 }
        }
        return widths.map { min($0, low) }
    }

    private func header(_ columns: [Column]) -> String {
        let names = zip(titles, columns).map { title, column in
            pad(cut(title, column), .bold, column)
        }
        let rules = columns.map { palette(.dim, String(repeating: "─", count: $0.width)) }
        return Self.join(names) + Self.join(rules)
    }

    private func line(_ row: [Cell], _ columns: [Column]) -> String {
        Self.join(
            zip(row, columns).map { cell, column in pad(cut(cell, column), cell.style, column) }
        )
    }

    private var isUnlimited: Bool { lineWidth == .max }

    private func cut(_ cell: Cell, _ column: Column) -> String {
        isUnlimited || cell.width <= column.width ? cell.text : cell.text.truncated(toWidth: column.width)
    }

    private func pad(_ text: String, _ style: Style, _ column: Column) -> String {
        let padding = String(repeating: " ", count: max(0, column.width - text.displayWidth))
        let styled = palette(style, text)
        return column.isNumeric ? padding + styled : styled + padding
    }

    private static func join(_ pieces: [String]) -> String {
        var line = pieces.joined(separator: "  ")
        while line.last == " " { line.removeLast() }
        return line + "\n"
    }
}

/// Formats rows with one line for each value: for rows that are too wide for a table.
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

/// A value of a result as displayed in a table.
struct Cell: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case null
        case number
        case text
        /// Bytes, shown in hexadecimal.
        case bytes
    }

    var kind: Kind
    /// Printable: without control characters.
    var text: String
    /// The width of ``text`` in cells of the terminal.
    var width: Int

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text.printable
        width = self.text.displayWidth
    }

    var style: Style {
        switch kind {
        case .null: .dim
        case .number: .cyan
        case .text: .plain
        case .bytes: .magenta
        }
    }
}
