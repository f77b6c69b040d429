import Foundation
import Tablecast
import Testing

/// The errors for a path before SQLite opens it.
struct DatabasePathTests {
    private let directory = URL.temporaryDirectory.appending(path: "tablecast-\(UUID().uuidString)")

    private func withPath(to name: String, _ body: (String) throws -> Void) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let text = String(repeating: "just some text, long enough for a page ", count: 20)
        try Data(text.utf8).write(to: directory.appending(path: "text"))
        try FileManager.default.createSymbolicLink(
            at: directory.appending(path: "device"),
            withDestinationURL: URL(filePath: "/dev/null")
        )
        try body(directory.appending(path: name).path)
    }

    @Test func `a file is there, or is missing`() throws {
        try withPath(to: "text") { path in
            let finding = try DatabasePath(path).inspect(writable: true)
            #expect(finding == .file)
        }
        try withPath(to: "none") { path in
            let finding = try DatabasePath(path).inspect(writable: true)
            #expect(finding == .missing)
        }
    }

    @Test(arguments: [
        (".", "is a directory"), ("no/such.db", "does not exist"), ("text/a.db", "cannot be opened"),
        ("device", "is not a regular file"),
    ])
    func `what can be no database is named`(name: String, words: String) throws {
        try withPath(to: name) { path in
            let error = #expect(throws: DatabaseFileError.self) { try DatabasePath(path).inspect(writable: false) }
            #expect(error?.problem.contains(words) == true)
        }
    }

    @Test func `a file that is no database is refused with what to do`() throws {
        try withPath(to: "text") { path in
            let error = #expect(throws: DatabaseFileError.self) {
                try TablecastService(database: DatabaseConfiguration(path: path))
            }
            #expect(error == .notADatabase(path: path))
            #expect(error?.description.contains("encrypted") == true)
        }
    }

    @Test func `a path without a file names the file or the directory`() throws {
        try withPath(to: "none.db") { path in
            #expect(throws: DatabaseFileError.notFound(path: path)) {
                try TablecastService(database: DatabaseConfiguration(path: path))
            }
        }
        #expect(throws: DatabaseFileError.noDirectory(path: "/nowhere")) {
            try TablecastService(database: DatabaseConfiguration(path: "/nowhere/none.db"))
        }
    }
}
