import Foundation
import Testing

@testable import Tablecast

@Suite struct InMemoryDatabaseTests {
    private let base = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

    init() throws { try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true) }

    private var left: [String] { (try? FileManager.default.contentsOfDirectory(atPath: base.path)) ?? [] }

    @Test func `it is in a directory that only its user may enter, and is removed with it`() throws {
        do {
            let database = try InMemoryDatabase(in: base.path)
            let directory = URL(fileURLWithPath: database.path).deletingLastPathComponent().path
            let attributes = try FileManager.default.attributesOfItem(atPath: directory)
            #expect(attributes[.posixPermissions] as? Int == 0o700)
            #expect(left.count == 1)
        }
        #expect(left.isEmpty)
    }

    @Test func `one in use is kept, one whose process has ended is removed by the next`() throws {
        let used = try InMemoryDatabase(in: base.path)
        let abandoned = base.appendingPathComponent("tablecast-memory-gone12")
        try FileManager.default.createDirectory(at: abandoned, withIntermediateDirectories: true)
        for name in ["lock", "memory.db"] { try Data([1]).write(to: abandoned.appendingPathComponent(name)) }
        let foreign = base.appendingPathComponent("something-else")
        try FileManager.default.createDirectory(at: foreign, withIntermediateDirectories: true)
        let next = try InMemoryDatabase(in: base.path)
        let directories = [used.path, next.path].map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().lastPathComponent
        }
        #expect(Set(left) == Set(directories + ["something-else"]))
    }

    @Test func `a directory that is not locked yet is left to the process that has just made it`() throws {
        let made = base.appendingPathComponent("tablecast-memory-young1")
        try FileManager.default.createDirectory(at: made, withIntermediateDirectories: true)
        _ = try InMemoryDatabase(in: base.path)
        #expect(left == ["tablecast-memory-young1"])
    }

    @Test func `a service has a database of its own, and removes it when it shuts down`() async throws {
        let first = try TablecastService(database: .inMemory)
        let second = try TablecastService(database: .inMemory)
        #expect(first.configuration.path != second.configuration.path)
        #expect(first.databaseName == ":memory:")
        await first.shutDown()
        await second.shutDown()
        #expect(!FileManager.default.fileExists(atPath: first.configuration.path))
    }
}
