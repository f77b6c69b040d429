import Foundation
import RandomSupport
import SQLiteConnection
import Tablecast
import Testing
import WireProtocol

/// Readers that lose their connection anywhere, within snapshots, replays and transactions, and resume by the rules of
/// the protocol, must end with the content of the database.
@Suite(.timeLimit(.minutes(3))) struct InterruptedReaderTests {
    @Test(arguments: [UInt64.random(in: 0..<1_000_000), 3, 4])
    func `readers that are cut anywhere and come back by the rules equal the database`(seed: UInt64) async throws {
        let database = try TemporaryDatabase(
            ReplicaTests.schema
                // Several messages for each snapshot.
                + "INSERT INTO notes SELECT hex(zeroblob(4000)) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i FROM n)"
        )
        var configuration = ServerConfiguration()
        configuration.port = 0
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path), server: configuration)
        try await service.server.start()
        let port = try #require(service.server.port)
        let stranger = Stranger(path: database.path, seed: seed, transactions: 300)
        stranger.start()
        let readers = (0..<6).map { number in
            Task { try await InterruptedReader.follow(port, seed: seed &+ UInt64(number), isSingle: number < 2) }
        }
        await stranger.finished()
        let writer = try await TestClient(port)
        // Both subscriptions receive the end.
        try await writer.run("INSERT INTO notes VALUES('the end'); INSERT INTO tags VALUES('the end', 0)")
        let truth = try Connection(path: database.path, mode: .readOnly)
        for (number, reader) in readers.enumerated() {
            let report = try await reader.value
            #expect(report.mismatches == [], "seed \(seed), reader \(number)")
            for table in ReplicaTests.tables {
                #expect(
                    report.rows[table] == (try truth.wireRows(of: table)),
                    "seed \(seed), reader \(number), \(table)"
                )
            }
            #expect(report.connections > 1)
            print("seed \(seed), reader \(number): \(report.counts.sorted { $0.key < $1.key })")
        }
        await writer.close()
        await service.shutDown()
    }
}

/// One or two subscriptions that together cover every table.
struct InterruptedReader {
    struct Report: Sendable {
        var mismatches: [String] = []
        var rows: [String: Set<[String: WireValue]>] = [:]
        var connections = 0
        var counts: [String: Int] = [:]
    }

    private struct Subscription {
        let tables: [String]
        var id: String?
        var replica = MessageReplica(checksGaps: false)
        /// Everything up to here is in the replica; nil while there is no complete snapshot.
        var position: Position?
        /// The messages of the transaction whose last message has not arrived.
        var pending: [Envelope] = []

        var filter: String {
            #""tables":[\#(tables.map { #""\#($0)""# }.joined(separator: ","))],"rows":"values""#
        }
    }

    private let port: Int
    private var random: SeededGenerator
    private var subscriptions: [Subscription]
    private var report = Report()
    /// The server asked to try again.
    private var isBusy = false

    static func follow(_ port: Int, seed: UInt64, isSingle: Bool) async throws -> Report {
        let tables = isSingle ? [["items", "notes", "tags"]] : [["items", "tags"], ["notes"]]
        var reader = InterruptedReader(
            port: port,
            random: SeededGenerator(seed: seed),
            subscriptions: tables.map { Subscription(tables: $0) }
        )
        while !reader.isFinished { try await reader.connect() }
        for subscription in reader.subscriptions {
            reader.report.mismatches += subscription.replica.mismatches
            for table in subscription.tables { reader.report.rows[table] = subscription.replica.rows(of: table) }
        }
        return reader.report
    }

    private init(port: Int, random: SeededGenerator, subscriptions: [Subscription]) {
        self.port = port
        self.random = random
        self.subscriptions = subscriptions
    }

    private var isFinished: Bool {
        subscriptions.allSatisfy { subscription in
            subscription.position != nil
                && (subscription.replica.contains(in: "notes", "body", .text("the end"))
                    || subscription.replica.contains(in: "tags", "k", .text("the end")))
        }
    }

    private mutating func connect() async throws {
        report.connections += 1
        let client = try await TestClient(port)
        for index in subscriptions.indices {
            subscriptions[index].id = nil
            subscriptions[index].pending = []
        }
        let positions = Set(subscriptions.map(\.position))
        if subscriptions.count > 1, positions.count == 1, let since = positions.first ?? nil {
            count("resumed together")
            let list = subscriptions.map { "{\($0.filter)}" }.joined(separator: ",")
            try await client.send(
                #"{"type":"subscribe","channel":"tables","id":"all","data":{"since":"\#(since)","subscriptions":[\#(list)]}}"#
            )
        } else {
            for (index, subscription) in subscriptions.enumerated() {
                count(subscription.position == nil ? "snapshot" : "resumed alone")
                let begin = subscription.position.map { #""since":"\#($0)""# } ?? #""snapshot":true"#
                try await client.send(
                    #"{"type":"subscribe","channel":"tables","id":"\#(index)","data":{\#(begin),\#(subscription.filter)}}"#
                )
            }
        }
        // The first connection always ends within the snapshot, however late it comes.
        var left = Int.random(in: report.connections == 1 ? 1...5 : 1...60, using: &random)
        isBusy = false
        while left > 0, !isFinished, !isBusy {
            receive(try await client.next())
            left -= 1
        }
        if subscriptions.contains(where: { $0.position == nil }) { count("cut within a snapshot") }
        if subscriptions.contains(where: { !$0.pending.isEmpty }) { count("cut within a transaction") }
        await client.close()
    }

    private mutating func receive(_ message: Envelope) {
        switch message.payload {
        case .subscribed(let subscribed):
            if subscribed.recovered == false { report.mismatches.append("not recovered") }
            if let ids = subscribed.subscriptions {
                for (index, id) in ids.enumerated() { subscriptions[index].id = id }
            } else if let index = message.header.replyTo.flatMap({ Int($0) }) {
                subscriptions[index].id = subscribed.subscription
                // An incomplete snapshot does not count.
                if subscribed.tables != nil { subscriptions[index].replica = MessageReplica(checksGaps: false) }
            }
        case .tableSnapshot(let snapshot): with(snapshot.subscription) { $0.replica.apply(message) }
        case .snapshotEnd(let end):
            if !end.unreadable.isEmpty { report.mismatches.append("unreadable: \(end.unreadable)") }
            with(end.subscription) { $0.position = end.position }
        case .tableModified(let modified):
            with(modified.context.subscription) { subscription in
                subscription.pending.append(message)
                guard modified.context.transaction?.isLast == true else { return }
                if subscription.position?.isBefore(modified.context.transaction?.position ?? Self.none) != true {
                    subscription.replica.complain("repeated: \(message.header)")
                }
                for message in subscription.pending { subscription.replica.apply(message) }
                subscription.pending = []
                subscription.position = message.header.position
            }
        case .transactionEnd(let end):
            count("ends")
            for index in subscriptions.indices where subscriptions[index].position != nil {
                if !subscriptions[index].pending.isEmpty { report.mismatches.append("an end within a transaction") }
                if end.position.isBefore(subscriptions[index].position ?? Self.none) == true {
                    report.mismatches.append("\(end.position) ends after \(subscriptions[index].position ?? Self.none)")
                }
                subscriptions[index].position = end.position
            }
        // The snapshots of connections that were cut are still ending.
        case .error(let error) where error.code == .tooManyQueries: isBusy = true
        case .error(let error): report.mismatches.append(error.message)
        default: break
        }
    }

    private static let none = Position(epoch: "none", sequence: 0)

    private mutating func with(_ id: String?, _ body: (inout Subscription) -> Void) {
        guard let index = subscriptions.firstIndex(where: { $0.id == id && id != nil }) else {
            report.mismatches.append("a message of an unknown subscription")
            return
        }
        body(&subscriptions[index])
    }

    private mutating func count(_ what: String) { report.counts[what, default: 0] += 1 }
}
