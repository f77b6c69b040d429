import Broadcast
import ChangeCapture
import Foundation
import NIOCore
import SQLiteConnection
import Testing
import WireProtocol

@testable import Tablecast

@Suite struct TransactionMessagesTests {
    private static let table = TableDescription(
        name: "t",
        kind: .table,
        sql: "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        columns: ["id", "v"].enumerated().map { index, name in
            ColumnDescription(
                name: name,
                type: "",
                isNotNull: false,
                defaultSQL: nil,
                primaryKeyOrdinal: index == 0 ? 1 : 0,
                visibility: .normal
            )
        },
        primaryKey: [0],
        hasRowid: true,
        rowidAlias: 0
    )

    private static func row(_ id: Int, _ text: String) -> Row {
        var builder = RowBuilder()
        builder.append(integer: Int64(id))
        builder.append(.text(text))
        return builder.finish()
    }

    /// Inserts, updates and deletes in turn.
    private static func transaction(rows count: Int, textBytes: Int) -> TransactionMessages {
        let text = String(repeating: "x", count: textBytes)
        let rows = (0..<count).map { id in
            let operation: RowChange.Operation = [.insert, .update, .delete][id % 3]
            return RowChange(
                operation: operation,
                rowid: Int64(id),
                before: operation == .insert ? nil : row(id, "old" + text),
                after: operation == .delete ? nil : row(id, text)
            )
        }
        let changed = TableRows(
            table: table,
            inserted: (count + 2) / 3,
            updated: (count + 1) / 3,
            deleted: count / 3,
            rows: rows,
            rowsOmitted: false
        )
        return TransactionMessages(
            changes: ChangeSet(origin: .external, events: [.rows(changed)]),
            position: Position(epoch: "e", sequence: 7),
            timestamp: 1,
            context: TableEventContext(database: "d", origin: .external)
        )
    }

    private static func subscriptions() throws -> [TableSubscription] {
        try (1..<16).flatMap { operations in
            try RowLevel.allCases.map { level in
                TableSubscription(
                    try TableFilter(operations: TableOperations(rawValue: UInt8(operations)), rowLevel: level)
                )
            }
        }
    }

    private func texts(_ messages: [EncodedMessage]) -> [String] {
        messages.map { String(decoding: $0.json.readableBytesView, as: UTF8.self) }
    }

    @Test(arguments: [(1, 10), (100, 10), (40, 40_000)])
    func `a shared encoding equals the encoding for a single subscription`(rows: Int, textBytes: Int) throws {
        let transaction = Self.transaction(rows: rows, textBytes: textBytes)
        var shared = TransactionRows()
        for subscription in try Self.subscriptions() {
            let together = texts(transaction.messages(for: subscription, &shared))
            #expect(together == texts(transaction.messages(for: subscription)))
            // As for more rows than are encoded once for all subscriptions.
            var unshared = TransactionRows(maxSharedRows: 0)
            #expect(together == texts(transaction.messages(for: subscription, &unshared)))
            var ids: [Int64] = []
            var counted = 0
            for (index, text) in together.enumerated() {
                let message = try Envelope(parsing: text.utf8)
                #expect(message.header.id == "e:7/\(subscription.id)/\(index)")
                #expect(message.header.timestamp == 1)
                guard case .tableModified(let modified) = message.payload, case .rows(let rows) = modified.change else {
                    Issue.record("\(text.prefix(100))")
                    continue
                }
                #expect(modified.context.subscription == subscription.id)
                #expect(modified.context.transaction?.isLast == (index == together.count - 1))
                #expect(text.utf8.count < TransactionMessages.maxRowsMessageBytes + 200_000)
                counted += rows.inserted + rows.updated + rows.deleted
                for row in rows.rows ?? [] { ids.append(row.rowid ?? -1) }
            }
            let operations = subscription.filter.operations
            let wanted = (0..<rows).filter { operations.contains([.insert, .update, .delete][$0 % 3]) }.map(Int64.init)
            #expect(counted == wanted.count)
            #expect(ids == (subscription.filter.rowLevel == .none ? [] : wanted))
        }
    }

    @Test func `subscriptions with conditions list each row as with an encoding of their own, in any order`() throws {
        let rowFilters = RowFilters()
        rowFilters.replaceTables([Self.table])
        var transaction = Self.transaction(rows: 40, textBytes: 10)
        transaction.rowFilters = rowFilters
        let conditions = [
            "1", "v LIKE 'old%'", "v NOT LIKE 'old%'", "id % 2", "id > 20", "id % 5 = 1 AND v LIKE 'old%'", "0",
        ]
        let subscriptions = try [RowLevel.none, .keys, .values].flatMap { level in
            try conditions.map { sql in
                TableSubscription(try TableFilter(tables: ["t"], rowLevel: level, condition: RowCondition(sql: sql)))
            } + [TableSubscription(try TableFilter(tables: ["t"], rowLevel: level))]
        }
        var crossings: Set<String> = []
        for first in subscriptions.indices {
            var shared = TransactionRows()
            for subscription in subscriptions[first...] + subscriptions[..<first] {
                let together = texts(transaction.messages(for: subscription, &shared))
                #expect(together == texts(transaction.messages(for: subscription)))
                var unshared = TransactionRows(maxSharedRows: 0)
                #expect(together == texts(transaction.messages(for: subscription, &unshared)))
                for text in together {
                    guard case .tableModified(let modified) = try Envelope(parsing: text.utf8).payload,
                        case .rows(let rows) = modified.change
                    else { continue }
                    #expect(rows.rows.map { $0.count == rows.inserted + rows.updated + rows.deleted } ?? true)
                }
                for word in ["\"filter\":\"entered\"", "\"filter\":\"left\""]
                where together.contains(where: { $0.contains(word) }) {
                    crossings.insert(word)
                }
            }
        }
        #expect(crossings.count == 2)
    }

    /// The cost of many filters compared with one. Run it manually, in a release build:
    ///
    ///     TABLECAST_BENCHMARK=1 swift test -c release -Xswiftc -enable-testing --filter TransactionMessagesTests
    @Test(.enabled(if: ProcessInfo.processInfo.environment["TABLECAST_BENCHMARK"] != nil))
    func `a commit of a hundred rows for a thousand filters`() throws {
        let publication = Self.transaction(rows: 100, textBytes: 60)
        let filters = try (0..<1000).map {
            TableSubscription(try TableFilter(tables: ["t", "u\($0)"], rowLevel: .values))
        }
        func nanoseconds(_ filters: [TableSubscription], rounds: Int) -> Double {
            let start = clock()
            for _ in 0..<rounds {
                var encoder = publication.encoder()
                for filter in filters { _ = encoder.messages(for: filter) }
            }
            return Double(clock() - start) / Double(CLOCKS_PER_SEC) * 1e9 / Double(rounds)
        }
        _ = nanoseconds(filters, rounds: 2)
        let one = nanoseconds([filters[0]], rounds: 2000)
        let all = nanoseconds(filters, rounds: 20)
        print("one filter: \(one) ns; 1,000 filters: \(all) ns, \(all / 1000 / one) of one for each")
    }
}
