import ArgumentParser
import Foundation
import QueryEngine
import SQLiteConnection
import Testing

@testable import Tablecast
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
        #expect(
            settings.options == [
                "--wal", "--port", "8080", "--limit", "clients.maxConnections=5", "--limit",
                "clients.maxConnections=7",
            ]
        )
    }

    @Test func `the command line prevails over both`() async throws {
        let settings = try await settings(#"{"port": 8080}"#, environment: ["TABLECAST_READERS": "2"])
        let command = try ServeCommand.parse(["my.db"] + settings.options + ["--port", "9090"])
        #expect(command.address.port == 9090)
        #expect(try command.limits.limits().query.readerCount == 2)
    }

    @Test func `limits have the same names in the file and in the environment`() async throws {
        let file =
            #"{"limits": {"query": {"maxRows": 7, "evaluation": {"maxSQLBytes": "64k"}}, "clients": {"maxConnections": 3}}}"#
        let environment = [
            "TABLECAST_LIMITS_QUERY_MAX_ROWS": "9", "TABLECAST_LIMITS_QUERY_EVALUATION_MAX_SQL_BYTES": "32k",
        ]
        let fromFile = try await settings(file)
        #expect(try limits(fromFile).query.maxRows == 7)
        #expect(try limits(fromFile).query.evaluation.maxSQLBytes == 64 << 10)
        #expect(try limits(fromFile).clients.maxConnections == 3)
        let fromBoth = try await settings(file, environment: environment)
        #expect(try limits(fromBoth).query.maxRows == 9)
        #expect(try limits(fromBoth).query.evaluation.maxSQLBytes == 32 << 10)
        #expect(try limits(fromBoth, ["--limit", "query.maxRows=11"]).query.maxRows == 11)
    }

    @Test func `every limit can be set in the environment and in a file`() async throws {
        for setting in LimitSetting.all {
            let path =
                ["TABLECAST", "LIMITS"] + setting.name.split(separator: ".").map { ServeSettings.kebab(String($0)) }
            let variable = path.joined(separator: "_").replacing("-", with: "_").uppercased()
            let option = ["--limit", "\(setting.name)=5"]
            #expect(try await settings(environment: [variable: "5"]).options == option)
            let json = setting.name.split(separator: ".").reversed().reduce("5") { #"{"\#($1)": \#($0)}"# }
            #expect(try await settings(#"{"limits": \#(json)}"#).options == option)
        }
    }

    @Test func `a limit on the command line prevails over an option of the environment`() async throws {
        let settings = try await settings(environment: ["TABLECAST_MAX_CONNECTIONS": "7"])
        #expect(try limits(settings, ["--limit", "clients.maxConnections=9"]).clients.maxConnections == 9)
        #expect(try limits(settings, ["--max-connections", "8"]).clients.maxConnections == 8)
    }

    @Test func `the temporary files of all queries follow those of one`() async throws {
        let settings = try await settings()
        let one = try limits(settings, ["--max-temporary-bytes", "1M"])
        #expect(one.query.maxTotalTemporaryBytes == 4 << 20)
        let both = try limits(settings, ["--max-temporary-bytes", "1M", "--limit", "query.maxTotalTemporaryBytes=2M"])
        #expect(both.query.maxTotalTemporaryBytes == 2 << 20)
    }

    private func limits(_ settings: ServeSettings, _ arguments: [String] = []) throws -> Limits {
        try ServeCommand.parse(["my.db"] + settings.options + arguments).limits.limits()
    }

    @Test(arguments: [
        ("query.maxRows=0", "query.maxRows must be a number of at least 1, or none, not '0'"),
        ("query.readerCount=65", "query.readerCount must be 1 to 64, not '65'"),
        ("hub.maxQueuedBytes=many", "hub.maxQueuedBytes must be 1 to 1024G bytes, not 'many'"),
        (
            "query.busyTimeout=0s",
            "query.busyTimeout must be a duration such as 500ms, 30s, 5m, of 1us to 365d"
        ),
        ("query.maxRow=5", "there is no limit 'query.maxRow'; expected query.readerCount"),
        ("maxRows=5", "there is no limit 'maxRows'; a name begins with capture, clients"),
        ("query.maxRows", "'query.maxRows': expected name=value"),
    ])
    func `a limit that cannot be meant is refused with the reason`(argument: String, reason: String) {
        let error = #expect(throws: (any Error).self) { try ServeCommand.parse(["my.db", "--limit", argument]) }
        let message = error.map { ServeCommand.message(for: $0) } ?? ""
        #expect(message.contains(reason), "\(message)")
    }

    @Test(arguments: [
        (#"{"limits": {"query": {"maxRow": 5}}}"#, "unknown setting 'limits.query.maxRow'"),
        (#"{"limits": 5}"#, "unknown setting 'limits'"),
        (#"{"limits": {"query": {"maxRows": [5]}}}"#, "'limits.query.maxRows' is not a text or a whole number"),
        (#"{"port": 80.5}"#, "'port' is not a text or a whole number"),
        (#"{"wal": [true]}"#, "'wal' is not true or false"),
        (#"{"prot": 8080}"#, "unknown setting 'prot'"), ("[1]", "is not a JSON object"), ("{", "not JSON"),
    ])
    func `a file that cannot be meant is refused with the reason`(text: String, reason: String) async {
        let error = await #expect(throws: CommandFailure.self) { try await settings(text) }
        #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }

    @Test func `a misspelt key of YAML is refused`() async {
        let error = await #expect(throws: CommandFailure.self) {
            try await settings("port: 1\nlimits: {query: {maxRow: 5}}\n", named: "t.yml")
        }
        #expect(error?.description.contains("limits.query.maxRow") == true)
    }

    @Test func `a file that is not there is named`() async {
        let error = await #expect(throws: CommandFailure.self) {
            try await ServeSettings(file: "/nowhere/tablecast.json", environment: [:])
        }
        #expect(error?.description.contains("/nowhere/tablecast.json") == true)
    }
}
