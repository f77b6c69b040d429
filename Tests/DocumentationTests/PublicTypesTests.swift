import Foundation
import Testing

/// The public types that an application switches over.
struct PublicTypesTests {
    /// Enums to which no case will be added, and why.
    private static let closed: [String: String] = [
        "SQLiteValue": "the storage classes of SQLite", "WireValue": "the storage classes of SQLite",
        "JSONValue": "the values of JSON", "WireRow": "an object or an array",
        "RowChangePayload.Operation": "insert, update, delete", "RowChange.Operation": "insert, update, delete",
        "RowChangePayload.Crossing": "in or out", "SchemaObjectPayload.Action": "added, removed, changed",
        "SchemaChange.ObjectChange.Action": "added, removed, changed",
        "QueryRequest.Parameters": "the ways to bind parameters in SQLite",
        "UnixTime": "no cases", "ResultColumns": "no cases", "TablecastVersion": "no cases",
    ]

    @Test func `every public enum says that it can grow, or is known not to`() throws {
        var found: Set<String> = []
        for page in try Page.all(in: "Sources", ending: ".swift") where !page.path.contains("TablecastCommand") {
            for (name, documentation) in Self.enums(in: page.text) where found.insert(name).inserted {
                let canGrow = documentation.contains("Later versions can have further cases")
                #expect(canGrow != (Self.closed[name] != nil), "\(name) in \(page.path)")
            }
        }
        #expect(found.count > 20)
        #expect(Set(Self.closed.keys).subtracting(found).isEmpty)
    }

    /// The public enums with the types around them, and their documentation.
    private static func enums(in source: String) -> [(name: String, documentation: String)] {
        var result: [(String, String)] = []
        // The types by their indentation.
        var outer: [(indentation: Int, name: String)] = []
        var documentation: [Substring] = []
        for line in source.split(separator: "\n", omittingEmptySubsequences: false) {
            let text = line.drop { $0 == " " }
            let indentation = line.count - text.count
            if text.hasPrefix("///") {
                documentation.append(text)
                continue
            }
            if text.hasPrefix("@") { continue }
            let type =
                /(?:(public) |package |private |fileprivate )?(?:indirect |final )?(enum|struct|class|actor|extension|protocol) ([A-Za-z.]+).*/
            if let match = text.wholeMatch(of: type) {
                outer.removeAll { $0.indentation >= indentation }
                outer.append((indentation, String(match.3)))
                if match.1 != nil, match.2 == "enum" {
                    result.append((outer.map(\.name).joined(separator: "."), documentation.joined(separator: " ")))
                }
            }
            documentation = []
        }
        return result
    }
}
