import Foundation
import Testing

/// The Swift that readers copy is Swift that compiles.
struct SnippetTests {
    @Test func `every Swift example of the documentation is among the compiled ones`() throws {
        let compiled = try Page("Tests/DocumentationTests/Examples.swift").lines
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        var pages = [try Page("README.md")]
        pages += try Page.all(in: "Sources/Tablecast/Tablecast.docc", ending: ".md")
        pages += try Page.all(in: "Sources", ending: ".swift")
        var count = 0
        for page in pages {
            for example in page.examples(in: "swift") {
                count += 1
                let (imports, statements) = Self.split(example)
                let isCompiled =
                    compiled.indices.contains { compiled[$0...].starts(with: statements) }
                    && imports.allSatisfy(compiled.contains)
                #expect(isCompiled, "\(page.path): not in Examples.swift:\n\(example.joined(separator: "\n"))")
            }
        }
        #expect(count >= 20)
    }

    private static func split(_ example: [String]) -> (imports: [String], statements: ArraySlice<String>) {
        let imports = example.prefix { $0.hasPrefix("import ") }
        return (Array(imports), example[imports.endIndex...])
    }
}
