import ArgumentParser
import ChangeCapture
import Foundation
import HTTPTypes
import NIOCore
import QueryEngine
import SQLiteConnection
import Testing
import WebSocketTransport

@testable import Tablecast
@testable import TablecastCommand
@testable import TablecastHummingbird
@testable import WireProtocol

/// The tables of the page for operators, against the code.
struct ReferenceTests {
    private let page: Page

    init() throws { page = try Page("Sources/Tablecast/Tablecast.docc/Operating.md") }

    private func options(in text: String) -> Set<String> {
        Set(text.matches(of: /--[a-z][a-z-]+/).map { String($0.0) })
    }

    @Test func `every option of serve has its row, and every row its option`() {
        let documented = page.terms.filter { $0.hasPrefix("--") }
        #expect(documented == options(in: ServeCommand.helpMessage(columns: 500)).subtracting(["--help", "--version"]))
    }

    @Test func `every option of serve is a setting of the file and of the environment`() {
        let options = options(in: ServeCommand.helpMessage(columns: 500))
        #expect(settings(ServeSettings.keys) == options.subtracting(["--config", "--limit", "--help", "--version"]))
    }

    @Test func `every option of relay is a setting, except the token`() {
        // The last is one of serve, which a help text names.
        let others: Set = ["--config", "--limit", "--help", "--version", "--upstream-token", "--read-only"]
        #expect(
            settings(ServeSettings.relayKeys) == options(in: RelayCommand.helpMessage(columns: 500)).subtracting(others)
        )
    }

    private func settings(_ keys: [(name: String, kind: ServeSettings.Kind)]) -> Set<String> {
        Set((keys.map(\.name) + LimitOptions.shortcuts.map(\.key)).map { "--" + ServeSettings.kebab($0) })
    }

    @Test func `the README and the pages name options that there are`() throws {
        let commands = TablecastCommand.configuration.subcommands
        let known = Set(commands.flatMap { options(in: $0.helpMessage(columns: 500)) }).union(["--version"])
        for page in try [Page("README.md")] + Page.all(in: "Sources/Tablecast/Tablecast.docc", ending: ".md") {
            for match in page.text.matches(of: /`tablecast [^`]*`|`(--[a-z-]+)[^`]*`/) {
                #expect(options(in: String(match.0)).isSubset(of: known), "\(page.path): \(match.0)")
            }
        }
    }

    @Test func `every metric has its row, and every row its metric`() throws {
        let page = try Page("Sources/Tablecast/Tablecast.docc/Observability.md")
        let names = ServiceMetrics.definitions.map(\.label)
        #expect(Set(page.terms.filter { $0.hasPrefix("tablecast_") }) == Set(names))
    }

    @Test func `every command has its row, and every row its command`() {
        let names = TablecastCommand.configuration.subcommands.compactMap { $0.configuration.commandName }
        let documented = page.terms.compactMap { $0.wholeMatch(of: /tablecast ([a-z]+)( .*)?/).map { String($0.1) } }
        #expect(Set(documented) == Set(names))
    }

    @Test func `defaults of options are those of the code`() throws {
        let serve = try ServeCommand.parse(["my.db"])
        let server = try serve.serverConfiguration()
        let slowQuery = try #require(serve.databaseConfiguration.slowQueryThreshold)
        var defaults: [String: String] = [
            "--port": "\(server.port)", "--host": server.host, "--path": server.path,
            "--log-level": "\(serve.logging.logLevel)",
            "--log-format": serve.logging.logFormat.rawValue,
            "--slow-query": DurationArgument(slowQuery).defaultValueDescription,
        ]
        let help = ServeCommand.helpMessage(columns: 500)
        for (key, name) in LimitOptions.shortcuts {
            let option = "--" + ServeSettings.kebab(key)
            let value = try #require(LimitSetting.named(name)).text(in: server.limits)
            defaults[option] = value
            // Up to the next option.
            let text = try #require(
                help.split(separator: "  \(option) <", maxSplits: 1).last?.split(separator: "  --").first
            )
            #expect(text.contains("Default \(value)."), "the help of \(option): \(text)")
        }
        for (option, value) in defaults {
            #expect(
                page.rows.contains { $0.count > 1 && $0[0] == "`\(option)`" && $0[1] == value },
                "\(option) \(value)"
            )
        }
    }

    @Test func `every limit has its row, in the order of the code`() {
        let limits = Limits()
        let expected = LimitSetting.all.map { "| `\($0.name)` | \($0.text(in: limits)) | \($0.effect) |" }
        let names = Set(LimitSetting.all.map(\.name))
        let documented = page.lines.filter { line in
            line.wholeMatch(of: /\| `([^`]+)` \|.*/).map { names.contains(String($0.1)) } == true
        }
        #expect(documented == expected, "the table has to be:\n\(expected.joined(separator: "\n"))")
    }

    @Test func `every field of the limits has its setting`() throws {
        let names = LimitSetting.all.map(\.name)
        // The one field that is no limit: the protocol has no binary messages.
        #expect(Set(Self.leaves(of: Limits()).keys) == Set(names).union(["connection.acceptsBinary"]))
        #expect(names.count == Set(names).count)
        for name in names {
            var limits = Limits()
            try LimitArgument("\(name)=\(Self.otherValue(of: name))").set(in: &limits)
            let changed = Self.leaves(of: limits).filter { Self.leaves(of: Limits())[$0.key] != $0.value }
            #expect(changed.keys.sorted() == [name])
        }
    }

    /// Every field that is not a structure of limits, by its path.
    private static func leaves(of value: Any, at path: String = "") -> [String: String] {
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle == .struct, !(value is Duration) else { return [path: "\(value)"] }
        return mirror.children.reduce(into: [:]) { result, child in
            let name = child.label ?? "?"
            let inner = leaves(of: child.value, at: path.isEmpty ? name : "\(path).\(name)")
            result.merge(inner) { $1 }
        }
    }

    /// A value that is valid and not the default.
    private static func otherValue(of name: String) throws -> String {
        switch try #require(LimitSetting.named(name)).field {
        case .count(_, let range), .bytes(_, let range), .optionalCount(_, let range):
            "\(Swift.max(range.lowerBound, 1) + 1)"
        case .duration, .optionalDuration: "150ms"
        }
    }

    @Test func `limits of the protocol are those of the code`() {
        let limits: [String: String] = [
            "depth of JSON": "\(JSONParser.maxDepth) levels",
            "tables in a filter": "\(TableFilter.maxPatterns)",
            "table's name in a filter": "\(TableFilter.maxPatternBytes) bytes",
            "user's name": "\(ClientMessage.maxUsernameBytes) bytes",
            "id of a request": "\(ClientMessage.maxIdentifierBytes) bytes",
        ]
        for (name, limit) in limits {
            #expect(page.rows.first { $0.first == name }?[1] == limit, "\(name)")
        }
    }

    @Test func `every close code has its row, with what a client should do`() throws {
        let source = try Page("Sources/WireProtocol/Values/ErrorCode.swift").text
        let codes = source.matches(of: /Self\(rawValue: (\d+)\)/).compactMap { UInt16($0.1).map(CloseCode.init) }
        #expect(codes.count > 12)
        for code in codes {
            let advice =
                switch code.reconnect {
                case .no: "no"
                case .withBackoff: "with backoff"
                case .resume: "resume"
                }
            let row = page.rows.first { $0.first == "\(code.rawValue)" && $0.count == 3 }
            #expect(row?[2] == advice, "\(code)")
        }
    }

    @Test func `every error code has its row, and is in the contract`() throws {
        let source = try Page("Sources/WireProtocol/Values/ErrorCode.swift").text
        let codes = Set(source.matches(of: /rawValue: "([A-Z_]+)"/).map { String($0.1) })
        #expect(codes.count > 15)
        #expect(codes.subtracting(page.terms) == [])
        let contract = try Page("Sources/TablecastHummingbird/Contract/asyncapi.yaml").text
        for code in codes { #expect(contract.contains(code), "\(code) is not in the AsyncAPI document") }
    }

    @Test func `every message type is in the contract`() throws {
        let source = try Page("Sources/WireProtocol/Values/MessageType.swift").text
        let contract = try Page("Sources/TablecastHummingbird/Contract/asyncapi.yaml").text
        for type in source.matches(of: /Self\("([a-z:]+)"\)/) {
            #expect(contract.contains(type.1), "\(type.1)")
        }
    }

    @Test func `every exit code has its row`() {
        for reason in ExitReason.allCases {
            #expect(page.rows.contains { $0.count == 2 && $0[0] == "\(reason.rawValue)" }, "\(reason)")
        }
    }

    @Test func `every address has its row`() throws {
        #expect(ServiceRoute.all.count > 8)
        for route in ServiceRoute.all {
            let method = try #require(route.methods.first)
            #expect(page.terms.contains("\(method.rawValue) \(route.path)"), "\(route.path)")
        }
    }

    @Test func `every environment variable has its row`() throws {
        let sources = try Page.all(in: "Sources", ending: ".swift").map(\.text).joined()
        let names = sources.matches(of: /(?:variable|getenv)\("([A-Z_]+)"\)|"(TABLECAST_[A-Z_]+)"/)
            .compactMap { ($0.1 ?? $0.2).map(String.init) }
        #expect(!names.isEmpty)
        #expect(Set(names).subtracting(page.terms) == [])
    }
}
