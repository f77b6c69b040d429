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
        let settings = ServeSettings.keys.map { "--" + ServeSettings.kebab($0.name) }
        let options = options(in: ServeCommand.helpMessage(columns: 500))
        #expect(Set(settings) == options.subtracting(["--config", "--help", "--version"]))
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
        let documented = page.terms.compactMap { $0.wholeMatch(of: /tablecast ([a-z]+) .*/).map { String($0.1) } }
        #expect(Set(documented) == Set(names))
    }

    @Test func `defaults of options are those of the code`() throws {
        let serve = try ServeCommand.parse(["my.db"])
        let server = serve.serverConfiguration
        let database = serve.databaseConfiguration
        let slowQuery = try #require(database.slowQueryThreshold)
        let defaults: [String: String] = [
            "--port": "\(server.port)", "--host": server.host, "--path": server.path,
            "--max-connections": "\(server.maxConnections)",
            "--heartbeat-interval": DurationArgument(server.heartbeatInterval).defaultValueDescription,
            "--max-message-bytes": ByteCountArgument(server.limits.maxMessageBytes).defaultValueDescription,
            "--max-queued-bytes": ByteCountArgument(server.limits.maxQueuedBytes).defaultValueDescription,
            "--query-timeout": DurationArgument(database.limits.statementTime).defaultValueDescription,
            "--readers": "\(database.limits.readers)",
            "--log-level": "\(serve.logging.logLevel)",
            "--log-format": serve.logging.logFormat.rawValue,
            "--slow-query": DurationArgument(slowQuery).defaultValueDescription,
        ]
        for (option, value) in defaults {
            #expect(
                page.rows.contains { $0.count > 1 && $0[0] == "`\(option)`" && $0[1] == value },
                "\(option) \(value)"
            )
        }
    }

    @Test func `every limit has its row with its default`() {
        let server = ServerConfiguration()
        var limits: [String: any Sendable] = [
            "maxConnections": server.maxConnections, "heartbeatInterval": server.heartbeatInterval,
        ]
        for child in [Mirror(reflecting: server.limits), Mirror(reflecting: DatabaseLimits())].flatMap(\.children) {
            guard let name = child.label else { continue }
            switch child.value {
            case let count as Int: limits[name] = count
            case let duration as Duration: limits[name] = duration
            default: Issue.record("\(name) is neither a number nor a duration")
            }
        }
        for (name, limit) in limits {
            let row = page.rows.first { $0.first == "`\(name)`" }
            #expect(row?[1] == Self.text(of: limit, named: name), "\(name)")
        }
    }

    @Test func `limits that are fixed are those of the code`() {
        let queries = QueryLimits()
        let http = WebSocketLimits()
        let limits: [String: String] = [
            "body of `POST /query`": Self.mebibytes(QueryRoute.maxBodyBytes),
            "body of `POST /broadcast`": Self.mebibytes(BroadcastRoute.maxBodyBytes),
            "HTTP request whose body does not come": "\(http.bodyTimeout.nanoseconds / 1_000_000_000) s",
            "HTTP response that is not taken": "\(http.responseTimeout.nanoseconds / 1_000_000_000) s",
            "HTTP connection between two requests": "\(http.keepAliveTimeout.nanoseconds / 1_000_000_000) s",
            "SQL of a query": "\(Self.grouped(queries.evaluation.maxSQLBytes)) bytes",
            "parameters of a statement": Self.grouped(queries.evaluation.maxParameters),
            "pattern of LIKE or GLOB": "\(queries.evaluation.maxLikePatternBytes) bytes",
            "value in a statement with LIKE or GLOB": Self.mebibytes(queries.evaluation.maxPatternTextBytes),
            "generated columns of a table in one commit of another process":
                Self.seconds(WatcherLimits().maxVirtualColumnTime),
            "row of a result": Self.mebibytes(queries.maxRowBytes),
            "rows in one JSON document": Self.grouped(QueryDocument.defaultMaxRows),
            "one JSON document": Self.mebibytes(QueryDocument.maxBytes),
            "memory of SQLite in all": Self.mebibytes(queries.maxHeapBytes),
            "read whose receiver takes no rows": Self.seconds(queries.maxPause),
            "write whose receiver takes no rows": Self.seconds(queries.maxWriterPause),
            "read that had to pause, as a whole": Self.seconds(queries.maxSnapshotTime),
            "snapshots that are sent at the same time": "\(SnapshotSender.maxConcurrent)",
            "snapshot": Self.seconds(SnapshotSender.maxDuration),
            "row of a snapshot": Self.mebibytes(SnapshotRows.maxRowBytes),
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

    @Test func `every close code has its row, with what a client should do`() {
        for code in CloseCode.allCases {
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

    /// A limit as the page writes it: the unit is in its name, or in its type.
    private static func text(of limit: any Sendable, named name: String) -> String {
        switch limit {
        case let bytes as Int where name.hasSuffix("Bytes"): mebibytes(bytes)
        case let count as Int: grouped(count)
        case let duration as Duration where duration < .seconds(1): "\(duration.milliseconds) ms"
        case let duration as Duration where duration < .seconds(3600): seconds(duration)
        case let duration as Duration: "\(duration.components.seconds / 3600) h"
        default: ""
        }
    }

    private static func mebibytes(_ bytes: Int) -> String { "\(grouped(bytes >> 20)) MiB" }
    private static func seconds(_ duration: Duration) -> String { "\(grouped(Int(duration.components.seconds))) s" }
    private static func grouped(_ count: Int) -> String {
        count.formatted(.number.locale(Locale(identifier: "en_US")))
    }
}
