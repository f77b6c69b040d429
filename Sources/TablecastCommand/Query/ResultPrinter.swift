import WireProtocol

/// Turns the rows of a query, as they arrive, into the text to print.
struct ResultPrinter: Sendable {
    private let format: ResultFormat
    private let palette: Palette
    /// The statement whose rows came last.
    private var statementIndex: Int?
    private var layout: TableLayout?
    private var vertical: VerticalLayout?
    /// The keys of ``ResultFormat/json``.
    private var keys: [String] = []

    init(format: ResultFormat, palette: Palette) {
        self.format = format
        self.palette = palette
    }

    mutating func append(_ batch: QueryRowsPayload) -> String {
        var text = ""
        if statementIndex != batch.statementIndex {
            text += begin(batch.columns, isFirst: statementIndex == nil)
            statementIndex = batch.statementIndex
        }
        switch format {
        case .table:
            text += layout?.append(batch.rows.map { $0.values(columns: batch.columns).map(ValueText.cell) }) ?? ""
        case .vertical:
            text += vertical?.append(batch.rows.map { $0.values(columns: batch.columns).map(ValueText.cell) }) ?? ""
        case .csv:
            for row in batch.rows { text += CSVLine.encode(row.values(columns: batch.columns).map(ValueText.field)) }
        case .json:
            var writer = JSONWriter()
            for row in batch.rows {
                writer.removeAll()
                writer.object(keys: keys, values: row.values(columns: batch.columns))
                text += String(decoding: writer.bytes, as: UTF8.self) + "\n"
            }
        }
        return text
    }

    /// What is still held back: at the end, or when it is time to show something.
    mutating func flush() -> String { layout?.flush() ?? "" }

    private mutating func begin(_ columns: [String], isFirst: Bool) -> String {
        // A blank line between the results of two statements.
        let separator = isFirst || format == .json ? "" : "\n"
        switch format {
        case .table(let lineWidth):
            let rest = layout?.flush() ?? ""
            layout = TableLayout(titles: columns, lineWidth: lineWidth, palette: palette)
            return rest + separator
        case .vertical:
            vertical = VerticalLayout(titles: columns, palette: palette)
            return separator
        case .csv: return separator + CSVLine.encode(columns)
        case .json:
            keys = ResultColumns.uniqueNames(columns)
            return ""
        }
    }
}

extension JSONWriter {
    /// An object whose keys are in the order of the columns.
    fileprivate mutating func object(keys: [String], values: [WireValue]) {
        beginObject()
        for (name, value) in zip(keys, values) {
            key(escaping: name)
            self.value(value)
        }
        endObject()
    }
}
