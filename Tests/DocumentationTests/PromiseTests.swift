import Foundation
import Testing

/// Promises that name the test which proves them.
struct PromiseTests {
    @Test func `every test that the promises name is there`() throws {
        let page = try Page("Sources/Tablecast/Tablecast.docc/WhatAChangeMessagePromises.md").text
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
}
