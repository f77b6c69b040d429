import ArgumentParser
import ChangeCapture
import SQLiteConnection
import Tablecast
import Testing
import WireProtocol

@testable import TablecastCommand

struct ArgumentTests {
    @Test(arguments: [
        ("5", WireValue.integer(5)), ("-5", .integer(-5)), ("1.5", .real(1.5)), ("NULL", .null), ("null", .null),
        ("'5'", .text("5")), ("'it''s'", .text("it's")), ("x'00ff'", .blob([0, 255])), ("x'0'", .text("x'0'")),
        ("text", .text("text")), ("", .text("")), ("inf", .text("inf")), ("+inf", .text("+inf")),
        ("1e999", .real(.infinity)), ("-1e999", .real(-.infinity)), ("-.5", .real(-0.5)),
        ("9223372036854775807", .integer(.max)), ("1_000", .text("1_000")), ("a=b", .text("a=b")),
    ])
    func `a parameter is what it looks like`(text: String, value: WireValue) {
        #expect(ParameterArgument(argument: text)?.value == value)
        #expect(ParameterArgument(argument: text)?.name == nil)
    }

    @Test func `named parameters go by their names`() throws {
        let parameters = [":a=1", "@b='x'", "$c="].compactMap(ParameterArgument.init)
        #expect(
            try ParameterArgument.parameters(parameters)
                == .named([":a": .integer(1), "@b": .text("x"), "$c": .text("")])
        )
        #expect(throws: ValidationError.self) {
            try ParameterArgument.parameters([":a=1", "2"].compactMap(ParameterArgument.init))
        }
    }

    @Test func `a value that looks like a named one is refused where the SQL has the name`() throws {
        let parameters = [ParameterArgument(argument: "a=5"), ParameterArgument(argument: "b=5")].compactMap { $0 }
        let error = #expect(throws: ValidationError.self) {
            try ParameterArgument.parameters(parameters, of: "SELECT :ab, $b")
        }
        #expect(error?.message.contains("write $b=…") == true)
        #expect(
            try ParameterArgument.parameters(parameters, of: "SELECT ?, ?")
                == .positional([.text("a=5"), .text("b=5")])
        )
        let quoted = [ParameterArgument(argument: "'a=5'")].compactMap { $0 }
        #expect(try ParameterArgument.parameters(quoted, of: "SELECT :a") == .positional([.text("a=5")]))
    }

    @Test func `SQL that begins with a comment is no option`() {
        let sql = "-- first\nSELECT 1"
        #expect(QueryCommand.separatingSQL(in: ["query", sql, "--json"]) == ["query", "--json", "--", sql])
        for other in [["query", "--max-rows=5", "SELECT 1"], ["query", "--", sql], ["listen", sql]] {
            #expect(QueryCommand.separatingSQL(in: other) == other)
        }
    }

    @Test func `none removes a limit whose numbers have a maximum`() throws {
        var limits = Limits()
        try LimitArgument("capture.forcedRestartFrameCount=none").set(in: &limits)
        #expect(limits.capture.forcedRestartFrameCount == nil)
        try LimitArgument("state.maxAge=48h").set(in: &limits)
        #expect(limits.state.maxAge == .seconds(172_800))
    }

    @Test func `options of queries have no effect on a relay`() throws {
        for option in [["--query-timeout", "1s"], ["--limit", "query.maxRows=1"], ["--readers", "2"]] {
            let error = #expect(throws: (any Error).self) { try RelayCommand.parse(["ws://127.0.0.1:1"] + option) }
            #expect(RelayCommand.message(for: try #require(error)).contains("has no effect on a relay"))
        }
        _ = try RelayCommand.parse(["ws://127.0.0.1:1", "--limit", "hub.history.maxAge=2h", "--max-connections", "5"])
    }

    @Test func `exit codes follow the code of the error`() {
        #expect(ExitReason(ErrorCode.readOnly) == .noPermission)
        #expect(ExitReason(ErrorCode.forbidden) == .noPermission)
        #expect(ExitReason(ErrorCode.sqlError) == .failure)
        #expect(ExitReason(ErrorCode.busy) == .temporaryFailure)
        #expect(ExitReason(SQLiteError(code: .full, message: "")) == .osError)
    }

    @Test(arguments: [
        ("30", Duration.seconds(30)), ("500ms", .milliseconds(500)), ("1.5s", .milliseconds(1500)),
        ("2m", .seconds(120)),
        ("1h", .seconds(3600)), ("48h", .seconds(172_800)), ("365d", .seconds(31_536_000)), ("0", .zero),
    ])
    func `durations have a unit, seconds by default`(text: String, duration: Duration) {
        #expect(DurationArgument(argument: text)?.duration == duration)
    }

    @Test(arguments: ["", "s", "-1s", "1w", "366d", "1e9", "99999999999h", "1.2.3s", "nan"])
    func `what is no duration is refused`(text: String) {
        #expect(DurationArgument(argument: text) == nil)
    }

    @Test(arguments: [("1", 1), ("64k", 65_536), ("16M", 16 << 20), ("1GiB", 1 << 30)])
    func `byte counts have units of 1,024`(text: String, bytes: Int) {
        #expect(ByteCountArgument(argument: text)?.bytes == bytes)
    }

    @Test(arguments: ["", "0", "k", "-1", "1.5M", "99999999999G", "1T"])
    func `what is no byte count is refused`(text: String) {
        #expect(ByteCountArgument(argument: text) == nil)
    }

    @Test(arguments: [
        ["serve"], ["serve", "a.db", "--port", "70000"], ["serve", "a.db", "--host", "0.0.0.0"],
        ["serve", "a.db", "--tls-key", "k"], ["serve", "a.db", "--path", "ws"], ["serve", "a.db", "--path", "/a b"],
        ["serve", "a.db", "--path", "/health"], ["serve", "a.db", "--path", "/tables/album"],
        ["serve", "a.db", "--path", "/tablecast.js"], ["serve", "a.db", "--query-timeout", "0s"],
        ["serve", "a.db", "--allowed-origin", "example.org"], ["serve", "a.db", "--allowed-origin", ""],
        ["serve", "a.db", "--allowed-origin", "https://example.org/page"],
        ["serve", "a.db", "--read-only", "--wal"],
        ["serve", "a.db", "--max-connections", "0"], ["serve", "a.db", "--nonsense"], ["query"],
        ["query", "a", "b", "c"],
        ["query", "SELECT", "1"], ["query", "SELECT 1", "--json", "--csv"], ["query", "x", "-p", "1", "-p", ":a=2"],
        ["listen", "--channels", "tables,nonsense"], ["listen", "--rows", "all"], ["listen", "--since", "nonsense"],
        ["listen", "--operations", "truncate"],
    ])
    func `options that make no sense are refused as wrong usage`(arguments: [String]) {
        #expect { try TablecastCommand.parseAsRoot(arguments) } throws: { error in
            TablecastCommand.exitCode(for: error).rawValue == ExitReason.usage.rawValue
        }
    }

    @Test func `anonymous clients are served only with an explicit option`() throws {
        for host in ["127.0.0.1", "::1", "localhost"] {
            #expect(throws: Never.self) { try TablecastCommand.parseAsRoot(["serve", "a.db", "--host", host]) }
        }
        #expect(throws: Never.self) {
            try TablecastCommand.parseAsRoot(["serve", "a.db", "--host", "0.0.0.0", "--allow-anonymous"])
        }
    }

    @Test func `the query's options become the request`() throws {
        let arguments = [
            "query", "host:1", "SELECT ?", "-p", "5", "--timeout", "2s", "--max-rows", "9", "--not-atomic",
        ]
        let command = try #require(try TablecastCommand.parseAsRoot(arguments) as? QueryCommand)
        #expect(try command.source == .server(ServerAddress(parsing: "host:1")))
        let request = QueryRequest(
            sql: "SELECT ?",
            parameters: .positional([.integer(5)]),
            rowFormat: .arrays,
            maxRows: 9,
            timeout: .seconds(2),
            isAtomic: false
        )
        #expect(try command.request(sql: "SELECT ?") == request)
    }
}
