import Foundation
import StateStore
import Testing

@Suite struct StateDirectoryTests {
    @Test func `only its owner can read it`() throws {
        let scratch = try ScratchDirectory()
        let (log, _) = try RecordLog.open(scratch)
        try log.restart(prologue: record(.epoch, 0))
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(scratch.state) == 0o700)
        for file in try scratch.segments() + ["\(scratch.state)/lock"] { #expect(try mode(file) == 0o600) }
    }

    @Test func `an existing directory is closed to others`() throws {
        let scratch = try ScratchDirectory()
        try FileManager.default.createDirectory(
            atPath: scratch.state,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755]
        )
        _ = try StateDirectory(path: scratch.state, followsLink: false)
        let mode = try FileManager.default.attributesOfItem(atPath: scratch.state)[.posixPermissions] as? Int
        #expect(mode == 0o700)
    }

    @Test func `a directory with files of others stays open to them`() throws {
        let scratch = try ScratchDirectory()
        try FileManager.default.createDirectory(
            atPath: scratch.state,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755]
        )
        try Data().write(to: URL(fileURLWithPath: scratch.state + "/app.db"))
        _ = try StateDirectory(path: scratch.state, followsLink: false)
        let mode = try FileManager.default.attributesOfItem(atPath: scratch.state)[.posixPermissions] as? Int
        #expect(mode == 0o755)
    }

    @Test func `one process uses it at a time`() throws {
        let scratch = try ScratchDirectory()
        var first: StateDirectory? = try StateDirectory(path: scratch.state, followsLink: false)
        #expect(throws: StateError.inUse(directory: scratch.state)) {
            try StateDirectory(path: scratch.state, followsLink: false)
        }
        _ = first
        first = nil
        _ = try StateDirectory(path: scratch.state, followsLink: false)
    }

    @Test func `a link is followed only where it was chosen`() throws {
        let scratch = try ScratchDirectory()
        try FileManager.default.createDirectory(atPath: scratch.path + "/real", withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: scratch.state,
            withDestinationPath: scratch.path + "/real"
        )
        #expect(throws: StateError.notADirectory(path: scratch.state)) {
            try StateDirectory(path: scratch.state, followsLink: false)
        }
        _ = try StateDirectory(path: scratch.state, followsLink: true)
    }

    @Test func `errors name what was wrong`() throws {
        let scratch = try ScratchDirectory()
        try Data().write(to: URL(fileURLWithPath: scratch.state))
        #expect(throws: StateError.notADirectory(path: scratch.state)) {
            try StateDirectory(path: scratch.state, followsLink: true)
        }
        let missing = scratch.path + "/missing/state"
        do {
            _ = try StateDirectory(path: missing, followsLink: true)
            Issue.record("a directory in one that does not exist was created")
        } catch {
            #expect("\(error)" == "creation of \(missing) failed: No such file or directory")
        }
    }
}
