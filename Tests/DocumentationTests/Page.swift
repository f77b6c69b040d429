import Foundation
import Testing

/// A page of the documentation, or a source file with its documentation comments.
struct Page: Sendable, CustomTestStringConvertible {
    /// From the top of the repository.
    let path: String
    let lines: [String]

    init(_ path: String) throws {
        self.path = path
        lines = try String(contentsOf: Self.root.appending(path: path), encoding: .utf8).components(separatedBy: "\n")
    }

    var testDescription: String { path }

    static let root = URL(filePath: #filePath).appending(path: "../../..").standardizedFileURL

    /// Every file below a folder that ends so.
    static func all(in folder: String, ending: String) throws -> [Page] {
        let folders = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
        let names = (folders?.allObjects ?? []).compactMap { $0 as? String }
        return try names.filter { $0.hasSuffix(ending) }.sorted().map { try Page("\(folder)/\($0)") }
    }

    /// The examples in a language, in documentation comments too: each without its indentation and its empty lines.
    func examples(in language: String) -> [[String]] {
        var examples: [[String]] = []
        var current: [String]?
        for line in lines {
            var text = line.trimmingCharacters(in: .whitespaces)
            if text.hasPrefix("///") { text = text.dropFirst(3).trimmingCharacters(in: .whitespaces) }
            if let lines = current {
                if text == "```" {
                    examples.append(lines)
                    current = nil
                } else if !text.isEmpty {
                    current = lines + [text]
                }
            } else if text == "```\(language)" {
                current = []
            }
        }
        return examples
    }

    /// The rows of all tables, as their trimmed cells.
    var rows: [[String]] {
        lines.filter { $0.hasPrefix("| ") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    /// What stands between backticks in the first cell of the rows of tables.
    var terms: Set<String> {
        Set(rows.compactMap(\.first).flatMap { cell in cell.matches(of: /`([^`]+)`/).map { String($0.1) } })
    }

    var text: String { lines.joined(separator: "\n") }
}
