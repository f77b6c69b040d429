import Foundation
import Testing

/// Guarantees that name the test which proves them.
struct PromiseTests {
    @Test func `every test that the guarantees name exists`() throws {
        let page = try Page("Sources/Tablecast/Tablecast.docc/ChangeMessages.md").text
            .replacing(/\n\s*/, with: " ").replacing(/`[^`]*`/, with: "").replacing("**", with: "")
        let names = page.matches(of: /\*([^*]+)\*/).map { $0.1.lowercased() }
            .filter { $0.contains(" ") }
        let tests = try Page.all(in: "Tests", ending: ".swift").map { $0.text.lowercased() }.joined()
        #expect(names.count > 20)
        for name in names {
            let isThere = tests.contains("func `\(name)`")
            #expect(isThere, "\(name)")
        }
    }

    @Test func `every failure mode names a test that exists`() throws {
        let page = try Page("Sources/Tablecast/Tablecast.docc/FailureModes.md").text
        let tests = try Page.all(in: "Tests/EndToEnd", ending: ".py").map { $0.text }.joined()
        let lines = page.split(separator: "\n").filter { $0.hasPrefix("| ") && !$0.hasPrefix("| ---") }
            .filter { !$0.hasPrefix("| failure") && !$0.hasPrefix("| event") }
        #expect(lines.count > 50)
        for line in lines {
            let names = line.matches(of: /`(test_[a-z0-9_]+)`/).map { $0.1 }
            #expect(!names.isEmpty, "\(line)")
            for name in names { #expect(tests.contains("def \(name)("), "\(name)") }
        }
    }
}
