import WireProtocol

/// Formats a change of a table: first the table, then a line for each row or index.
struct TableEventLines: Sendable {
    /// When there are more columns than this, they are not listed.
    static let maxListedColumns = 12

    private let author: String?
    private let order: ColumnOrder

    init(_ context: TableEventContext, _ order: ColumnOrder = .unknown) {
        self.order = order
        author =
            switch context.origin {
            case .external: "another process"
            case .service: context.username ?? context.userID
            default: context.origin?.rawValue
            }
    }

    func created(_ event: TableCreatedPayload) -> [StyledLine] {
        [
            head(
                "created",
                .green,
                [(kind(event.objectType) + SQLName.quoted(event.tableName), .bold), (columns(event.columns), .plain)]
            )
        ]
    }

    func dropped(_ event: TableDroppedPayload) -> [StyledLine] {
        [head("dropped", .red, [(kind(event.objectType) + SQLName.quoted(event.tableName), .bold)])]
    }

    func modified(_ event: TableModifiedPayload) -> [StyledLine] {
        switch event.change {
        case .schema(let change): altered(event.tableName, change)
        case .rows(let change): changed(event.tableName, change)
        }
    }

    private func altered(_ table: String, _ change: SchemaModification) -> [StyledLine] {
        var parts: [(String, Style)] = [(SQLName.quoted(table), .bold), (columns(change.columns), .plain)]
        if let previous = change.previousName { parts.append((", before \(SQLName.quoted(previous))", .plain)) }
        let objects = (change.objects ?? []).map { object in
            detail("\(object.action.rawValue) \(object.kind.rawValue) \(SQLName.quoted(object.name))", .yellow)
        }
        return [head("altered", .yellow, parts)] + objects
    }

    private func changed(_ table: String, _ change: RowsModification) -> [StyledLine] {
        var parts: [(String, Style)] = [(SQLName.quoted(table), .bold)]
        if change.inserted > 0 { parts.append(("  +\(Figures.grouped(change.inserted))", .green)) }
        if change.updated > 0 { parts.append(("  ~\(Figures.grouped(change.updated))", .yellow)) }
        if change.deleted > 0 { parts.append(("  -\(Figures.grouped(change.deleted))", .red)) }
        if change.rowsOmitted == true {
            let isCounted = change.inserted + change.updated + change.deleted > 0
            parts.append((isCounted ? "  too many rows to list" : "  rows unknown", .dim))
        }
        if let omitted = change.columnsOmitted, !omitted.isEmpty {
            parts.append(
                ("  without \(omitted.map(SQLName.quoted).joined(separator: ", ")), not computed in time", .dim)
            )
        }
        return [head("changed", .blue, parts)] + (change.rows ?? []).map(row)
    }

    // MARK: Rows

    private func row(_ change: RowChangePayload) -> StyledLine {
        switch change.operation {
        case .insert: detail("+ " + fields(change.key, change.after ?? [:]), .green)
        case .delete: detail("- " + fields(change.key, change.before ?? [:]), .red)
        case .update: detail("~ " + update(change), .yellow)
        }
    }

    /// The key first, then everything else.
    private func fields(_ key: [String: WireValue], _ row: [String: WireValue]) -> String {
        let rest = row.filter { key[$0.key] == nil }
        return (sorted(key) + sorted(rest)).map { "\($0)=\(ValueText.literal($1))" }.joined(separator: " ")
    }

    /// The key, then the columns that differ, as `v='b'→'c'`.
    private func update(_ change: RowChangePayload) -> String {
        let before = change.before ?? [:]
        let after = change.after ?? [:]
        var parts = sorted(change.key).map { "\($0)=\(ValueText.literal($1))" }
        for (column, new) in order.sorted(after) {
            guard let old = before[column], old != new else { continue }
            parts.append("\(SQLName.quoted(column))=\(ValueText.literal(old))→\(ValueText.literal(new))")
        }
        return parts.joined(separator: " ")
    }

    private func sorted(_ fields: [String: WireValue]) -> [(name: String, value: WireValue)] {
        order.sorted(fields).map { (SQLName.quoted($0.name), $0.value) }
    }

    // MARK: Parts

    private func kind(_ type: TableObjectType?) -> String {
        switch type {
        case .view: "view "
        case .virtual: "virtual table "
        default: "table "
        }
    }

    private func columns(_ columns: [ColumnPayload]?) -> String {
        guard let columns, !columns.isEmpty else { return "" }
        let listed = columns.prefix(Self.maxListedColumns).map { column in
            SQLName.quoted(column.name) + (column.type.isEmpty ? "" : " " + column.type.printable)
        }
        let more = columns.count > listed.count ? ", … \(columns.count - listed.count) more" : ""
        return " (" + listed.joined(separator: ", ") + more + ")"
    }

    private func head(_ verb: String, _ style: Style, _ parts: [(text: String, style: Style)]) -> StyledLine {
        var line = StyledLine()
        line.append(verb: verb, style)
        for part in parts { line.append(part.text, part.style) }
        if let author { line.append("  by \(author.printable)", .dim) }
        return line
    }

    private func detail(_ text: String, _ style: Style) -> StyledLine {
        var line = StyledLine()
        line.append("  " + text, style)
        return line
    }
}

/// The order in which a message names the columns of its rows, which is the table's order: decoded rows are
/// dictionaries without an order.
struct ColumnOrder: Sendable {
    static let unknown = ColumnOrder(ranks: [:])

    private let ranks: [String: Int]

    private init(ranks: [String: Int]) { self.ranks = ranks }

    /// - Parameter message: A valid message, as received.
    init(message: String) {
        // {"data":{"rows":[{"after":{"column":…
        let depthOfColumns = 5
        var ranks: [String: Int] = [:]
        var depth = 0
        let bytes = Array(message.utf8)
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""):
                let end = Self.end(ofStringAt: index, in: bytes)
                if depth == depthOfColumns, end < bytes.count, bytes[end] == UInt8(ascii: ":"),
                    case .string(let name)? = try? JSONValue(parsing: bytes[index..<end]), ranks[name] == nil
                {
                    ranks[name] = ranks.count
                }
                index = end - 1
            default: break
            }
            index += 1
        }
        self.ranks = ranks
    }

    /// Columns that the message does not name come last, by their names.
    func sorted(_ fields: [String: WireValue]) -> [(name: String, value: WireValue)] {
        let ranked = fields.map { (rank: ranks[$0.key] ?? .max, name: $0.key, value: $0.value) }
        return ranked.sorted { ($0.rank, $0.name) < ($1.rank, $1.name) }.map { ($0.name, $0.value) }
    }

    /// The position after the closing quote.
    private static func end(ofStringAt start: Int, in bytes: [UInt8]) -> Int {
        var index = start + 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index + 1, bytes.count)
    }
}
