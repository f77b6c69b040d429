import ChangeCapture
import SQLiteConnection
import StateStore
import Testing
import WireProtocol

@testable import Tablecast

@Suite struct ChangeSetCodingTests {
    private let table = TableDescription(
        name: "t \"x\"",
        kind: .table,
        sql: "CREATE TABLE t(a, b)",
        columns: [
            ColumnDescription(
                name: "a",
                type: "INTEGER",
                isNotNull: true,
                defaultSQL: "7",
                primaryKeyOrdinal: 1,
                visibility: .normal
            ),
            ColumnDescription(
                name: "ä",
                type: "",
                isNotNull: false,
                defaultSQL: nil,
                primaryKeyOrdinal: 0,
                visibility: .generatedStored
            ),
        ],
        primaryKey: [0],
        hasRowid: true,
        rowidAlias: 0
    )

    private var changes: ChangeSet {
        let values: [SQLiteValue] = [
            .null, .integer(.min), .real(-0.0), .text("ä"), .blob([0, 255]), .malformedText([0xff]),
        ]
        var rows = TableRows(
            table: table,
            inserted: 1,
            updated: 1,
            deleted: 1,
            rows: [
                RowChange(operation: .delete, rowid: nil, before: Row(values), after: nil),
                RowChange(operation: .update, rowid: -5, before: Row([.null]), after: Row([.text("")])),
                RowChange(operation: .insert, rowid: 3, before: nil, after: Row(values)),
            ],
            rowsOmitted: false
        )
        rows.columnsOmitted = ["ä"]
        let modification = SchemaChange.Modification(
            table: table,
            previousName: "old",
            columnSources: [0, nil],
            isRedefined: true,
            objects: [
                SchemaChange.ObjectChange(action: .removed, kind: .trigger, name: "x", sql: nil),
                SchemaChange.ObjectChange(action: .added, kind: .index, name: "i", sql: "CREATE INDEX i ON t(a)"),
            ]
        )
        return ChangeSet(
            origin: .service,
            events: [
                .schema(.dropped(table)), .schema(.modified(modification)), .schema(.created(table)), .rows(rows),
                .rows(
                    TableRows(
                        table: table,
                        inserted: 0,
                        updated: 0,
                        deleted: 0,
                        countsAreKnown: false,
                        detail: .counts,
                        rows: [],
                        rowsOmitted: true
                    )
                ),
            ]
        )
    }

    private func encoded(_ changes: ChangeSet) -> [UInt8] {
        var encoder = ChangeSetEncoder()
        encoder.begin()
        encoder.append(changes)
        return encoder.writer.bytes
    }

    @Test func `a change set is the same after it was written and read`() throws {
        var reader = ByteReader(encoded(changes)[...])
        let read = try reader.changeSet()
        #expect(reader.isAtEnd)
        #expect("\(read)" == "\(changes)")
        #expect(encoded(read) == encoded(changes))
    }

    @Test func `each change set has its own description of a table, read alone or after others`() throws {
        var other = table
        other.sql += " -- changed"
        var third = table
        third.columns[1].defaultSQL = "8"
        for table in [table, other, table, table, third, other, third] {
            var reader = ByteReader(encoded(ChangeSet(origin: .external, events: [.schema(.created(table))]))[...])
            guard case .schema(.created(let read))? = try reader.changeSet().events.first else {
                Issue.record("no table")
                return
            }
            #expect(read == table)
            #expect(reader.isAtEnd)
        }
    }

    @Test func `without rows the counts stay, and that rows are missing is recorded`() throws {
        var encoder = ChangeSetEncoder()
        encoder.begin()
        encoder.append(changes, withRows: false)
        var reader = ByteReader(encoder.writer.bytes[...])
        guard case .rows(let rows)? = try reader.changeSet().events.dropFirst(3).first else {
            Issue.record("no rows")
            return
        }
        #expect(rows.inserted == 1 && rows.updated == 1 && rows.deleted == 1)
        #expect(rows.rowsOmitted && rows.rows.isEmpty && rows.detail == .counts)
    }

    @Test func `no more rows are written than the limit of bytes allows`() {
        let row = RowChange(
            operation: .insert,
            rowid: 1,
            before: nil,
            after: Row([.text(String(repeating: "x", count: 90))])
        )
        var rows = TableRows(table: table, inserted: 0, updated: 0, deleted: 0, rows: [], rowsOmitted: false)
        rows.rows = Array(repeating: row, count: 1_000)
        let changes = ChangeSet(origin: .external, events: [.rows(rows)])
        let byteCount = encoded(changes).count
        var encoder = ChangeSetEncoder()
        for (limit, isComplete) in [(byteCount, true), (byteCount - 1, false), (10_000, false)] {
            encoder.begin()
            #expect(encoder.append(changes, maxBytes: limit) == isComplete)
            let written = encoder.writer.bytes.count
            #expect(isComplete ? written == byteCount : (limit...limit + 200).contains(written))
        }
    }

    @Test func `bytes that were cut off anywhere are refused`() {
        let bytes = encoded(changes)
        for count in 0..<bytes.count {
            var reader = ByteReader(bytes[..<count])
            #expect(throws: ByteReader.Malformed.self) { try reader.changeSet() }
        }
    }

    @Test func `any byte may be wrong`() {
        // Reading must end, whatever the bytes are; most changes are noticed.
        let bytes = encoded(changes)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x81
            var reader = ByteReader(damaged[...])
            _ = try? reader.changeSet()
        }
    }
}

@Suite struct EpochLineageTests {
    @Test func `positions of earlier incarnations are known up to the next one's beginning`() {
        var lineage = EpochLineage()
        let first = lineage.epoch
        lineage.begin(after: 5)
        let second = lineage.epoch
        lineage.begin(after: 9)
        #expect(lineage.earlier == [first: 5, second: 9])
        for start in [UInt64(1), 5, 6, 9, 10, 20] {
            var published = PublishedPositions(lineage)
            for sequence in start...20 {
                let epoch = sequence <= 5 ? first : sequence <= 9 ? second : lineage.epoch
                #expect(published.position(of: sequence) == Position(epoch: epoch, sequence: sequence))
            }
        }
        #expect(Set([first, second, lineage.epoch]).count == 3)
    }

    @Test func `the number of incarnations is limited`() {
        var lineage = EpochLineage()
        for base in 0..<3_000 { lineage.begin(after: UInt64(base)) }
        #expect(lineage.incarnations.count == EpochLineage.maxIncarnations)
        #expect(lineage.earlier.count == EpochLineage.maxIncarnations - 1)
    }
}
