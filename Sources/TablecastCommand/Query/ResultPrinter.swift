import WireProtocol

/// Formats the rows of a query as text while they arrive.
struct ResultPrinter: Sendable {
    private let format: ResultFormat
    private let palette: Palette
    /// The statement of the last rows.
    private var statementIndex: Int?
    private var layout: ColumnLayout?
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

    /// The text that is still held back: at the end, or when rows should be shown.
    mutating func flush() -> String { layout?.flush() ?? "" }

    private mutating func begin(_ columns: [String], isFirst: Bool) -> String {
        // A blank line between the results of two statements.
        let separator = isFirst || format == .json ? "" : "\n"
        switch format {
        case .table(let lineWidth):
            let rest = layout?.flush() ?? ""
            layout = ColumnLayout(titles: columns, lineWidth: lineWidth, palette: palette)
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

/// The output format of `query`.
enum ResultFormat: Sendable, Hashable {
    /// Aligned columns, for people.
    case table(lineWidth: Int)
    /// One value per line.
    case vertical
    /// One JSON object per line, with values as in the protocol.
    case json
    /// RFC 4180, with the names of the columns in the first line.
    case csv
}

/// A line of comma-separated values according to [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180), with a single line
/// feed at its end, as Unix tools expect.
enum CSVLine {
    /// A nil field is NULL and written as nothing; an empty text is written as a pair of quotes.
    static func encode(_ fields: [String?]) -> String {
        fields.map { $0.map(quoted) ?? "" }.joined(separator: ",") + "\n"
    }

    private static func quoted(_ field: String) -> String {
        let needsQuotes = field.utf8.contains { byte in
            byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\"") || byte == 0x0A || byte == 0x0D
        }
        guard needsQuotes || field.isEmpty || field.first == " " || field.last == " " else { return field }
        var result = "\""
        // By scalars: for Swift, a carriage return and a line feed are one character, and so are a quote and an accent
        // after it.
        for scalar in field.unicodeScalars {
            if scalar == "\"" { result += "\"" }
            result.unicodeScalars.append(scalar)
        }
        return result + "\""
    }
}

extension QueryCompletePayload {
    /// `5 rows in 12 ms`, `3 changes in 9 ms`, `done in 6 ms`.
    var summary: String {
        let parts = [
            rowCount > 0 ? Figures.counted(rowCount, "row") : nil,
            changes > 0 ? Figures.counted(changes, "change") : nil,
        ].compactMap { $0 }
        let what = parts.isEmpty ? "done" : parts.joined(separator: ", ")
        return what + " in " + Figures.seconds(.milliseconds(duration))
    }
}
