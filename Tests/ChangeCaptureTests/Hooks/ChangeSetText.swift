import ChangeCapture
import SQLiteConnection

extension ChangeSet {
    /// One line for each event, for comparison with expectations.
    var lines: [String] {
        events.flatMap { event -> [String] in
            switch event {
            case .schema(.created(let table)): ["created \(table.kind) \(table.name)"]
            case .schema(.dropped(let table)): ["dropped \(table.kind) \(table.name)"]
            case .schema(.modified(let change)): [change.line]
            case .rows(let rows): rows.lines
            }
        }
    }
}

extension SchemaChange.Modification {
    fileprivate var line: String {
        var line = "modified \(table.name)"
        if let previousName { line += " was \(previousName)" }
        if let columnSources {
            line += " columns \(columnSources.map { $0.map(String.init) ?? "new" }.joined(separator: ","))"
        }
        for object in objects { line += " \(object.action) \(object.kind) \(object.name)" }
        return line
    }
}

extension TableRows {
    fileprivate var lines: [String] {
        if !countsAreKnown { return ["\(table.name): changed"] }
        guard detail != .counts else {
            let omitted = rowsOmitted ? " omitted" : ""
            return ["\(table.name): +\(inserted) ~\(updated) -\(deleted)\(omitted)"]
        }
        return rows.map { row in
            let rowid = row.rowid.map { " @\($0)" } ?? ""
            let before = row.before.map { " \($0.text)" } ?? ""
            let after = row.after.map { " → \($0.text)" } ?? ""
            return "\(table.name): \(row.operation)\(rowid)\(before)\(after)"
        }
    }
}

extension Row {
    var text: String {
        let values = values.map { value in
            switch value {
            case .null: "NULL"
            case .integer(let value): "\(value)"
            case .real(let value): "\(value)"
            case .text(let value): "'\(value)'"
            case .blob(let bytes): "x\(bytes.map { String($0, radix: 16) }.joined(separator: "."))"
            case .malformedText(let bytes): "?\(bytes)"
            }
        }
        return "(\(values.joined(separator: ", ")))"
    }
}
