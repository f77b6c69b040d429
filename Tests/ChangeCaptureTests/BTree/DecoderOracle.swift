import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

/// Decodes one commit after the other and compares the result with the differences that SQL finds.
final class DecoderOracle {
    let decoder: CommitDecoder
    private(set) var rowCount = 0
    private let connection: Connection
    private var schema: TestSchema
    private var contents: TableContents

    /// - Parameters:
    ///   - image: the database as it is, which `connection` reads and writes.
    init(_ image: DatabaseImage, _ connection: Connection) throws {
        self.connection = connection
        schema = try TestSchema(connection)
        contents = try TableContents(connection, schema)
        decoder = try CommitDecoder(image, catalog: schema.catalog)
    }

    func check(_ commit: RecordedCommit, _ evidence: CommitDecoder.Evidence, _ place: String) throws {
        var changes: [SchemaChange] = []
        var transition = CommitDecoder.SchemaTransition.unchanged
        let old = schema
        if try decoder.touchesSchema(
            before: commit.before,
            after: commit.after,
            changedPages: commit.changedPages
        ) {
            schema = try TestSchema(connection)
            changes = schema.changes(from: old)
            transition = .changed(schema.catalog, changes)
        }
        let after = try TableContents(connection, schema)
        let expected = contents.carried(over: changes, old.catalog, schema.catalog).changes(to: after)
        let tables = try decoder.decode(
            before: commit.before,
            after: commit.after,
            changedPages: commit.changedPages,
            evidence: evidence,
            schema: transition
        )
        for table in tables {
            rowCount += table.rows.count
            #expect(table.inserted + table.updated + table.deleted == table.rows.count)
            let decoded = Set(table.rows)
            #expect(decoded.count == table.rows.count, "\(place): a row reported twice")
            let wanted = expected[table.table.name] ?? []
            let missing = wanted.subtracting(decoded).prefix(2).map(describe)
            let wrong = decoded.subtracting(wanted).prefix(2).map(describe)
            try #require(
                decoded == wanted,
                "\(place), \(table.table.name): missing \(missing), wrong \(wrong), schema changes \(changes)"
            )
        }
        let silent = expected.filter { name, _ in !tables.contains { $0.table.name == name } }
        try #require(
            silent.isEmpty,
            "\(place): nothing decoded of \(silent.map { ($0, $1.prefix(2).map(describe)) }) \(changes)"
        )
        let misplaced = try decoder.verify(against: commit.after)
        try #require(misplaced.isEmpty, "\(place): page map wrong at \(misplaced.prefix(10))")
        try #require(decoder.statistics.unexplainedPages == 0, "\(place)")
        contents = after
    }

    private func describe(_ change: RowChange) -> String {
        "\(change.operation) \(change.rowid ?? 0) \(change.before?.values.description.prefix(300) ?? "") -> \(change.after?.values.description.prefix(300) ?? "")"
    }
}
