import ArgumentParser
import Foundation
import Testing

@testable import TablecastCommand

@Suite struct ServeSettingsTests {
    private func settings(
        _ text: String? = nil,
        named name: String = "tablecast.json",
        environment: [String: String] = [:]
    ) async throws -> ServeSettings {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appendingPathComponent(name).path
        if let text { try text.write(toFile: file, atomically: true, encoding: .utf8) }
        return try await ServeSettings(file: text == nil ? nil : file, environment: environment)
    }

    @Test(arguments: ["tablecast.json", "tablecast.yaml"])
    func `numbers, texts, flags and lists become options`(name: String) async throws {
        let text =
            name.hasSuffix("json")
            ? #"{"port": 8080, "tokens": "t.json", "wal": true, "readOnly": false, "allowedOrigin": ["http://a", "http://b"]}"#
            : "port: 8080\ntokens: t.json\nwal: true\nreadOnly: false\nallowedOrigin: [\"http://a\", \"http://b\"]\n"
        let options = try await settings(text, named: name).options
        #expect(
            options == [
                "--wal", "--port", "8080", "--tokens", "t.json", "--allowed-origin", "http://a", "--allowed-origin",
                "http://b",
            ]
        )
    }

    @Test func `the environment prevails over the file`() async throws {
        let settings = try await settings(
            #"{"port": 8080, "maxConnections": 5}"#,
            environment: ["TABLECAST_MAX_CONNECTIONS": "7", "TABLECAST_WAL": "true", "OTHER": "1"]
        )
        #expect(settings.options == ["--wal", "--port", "8080", "--max-connections", "7"])
    }

    @Test func `the command line prevails over both`() async throws {
        let settings = try await settings(#"{"port": 8080}"#, environment: ["TABLECAST_READERS": "2"])
        let command = try ServeCommand.parse(["my.db"] + settings.options + ["--port", "9090"])
        #expect(command.address.port == 9090)
        #expect(command.limits.readers == 2)
    }

    @Test(arguments: [
        (#"{"prot": 8080}"#, "unknown setting 'prot'"), ("[1]", "is not a JSON object"), ("{", "not JSON"),
    ])
    func `a file that cannot be meant is refused with the reason`(text: String, reason: String) async {
        let error = await #expect(throws: CommandFailure.self) { try await settings(text) }
        #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }

    @Test func `a misspelt key of YAML is refused`() async {
        let error = await #expect(throws: CommandFailure.self) {
            try await settings("port: 1\nmaxConections: 5\n", named: "t.yml")
        }
        #expect(error?.description.contains("maxConections") == true)
    }

    @Test func `a file that is not there is named`() async {
        let error = await #expect(throws: CommandFailure.self) {
            try await ServeSettings(file: "/nowhere/tablecast.json", environment: [:])
        }
        #expect(error?.description.contains("/nowhere/tablecast.json") == true)
    }
}
