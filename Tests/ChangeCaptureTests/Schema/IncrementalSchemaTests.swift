import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

/// A snapshot that takes over tables from the one before it.
@Suite struct IncrementalSchemaTests {
    static let seeds: [UInt64] = {
        if let seed = TemporaryFiles.environment("TABLECAST_ORACLE_SEED") { return [UInt64(seed)] }
        let count = TemporaryFiles.environment("TABLECAST_ORACLE_SEEDS") ?? 4
        return (1..<UInt64(max(2, count))).map { $0 } + [UInt64.random(in: 1_000...UInt64(UInt32.max))]
    }()

    /// The definitions, among other statements, of random transactions that are committed, rolled back or fail.
    @Test(arguments: seeds)
    func `equals one that is read from the beginning`(seed: UInt64) throws {
        let writer = try Connection(path: ":memory:", mode: .readWriteCreate)
        // FTS and R-tree tables with shadow tables, and one that reads another table.
        try writer.execute(
            """
            CREATE TABLE source(id INTEGER PRIMARY KEY, t); CREATE VIRTUAL TABLE note USING fts5(t);
            CREATE VIRTUAL TABLE place USING rtree(id, x1, x2); CREATE TABLE note_extra(a)
            """
        )
        var generator = ScriptGenerator(seed: seed, isForeign: true)
        for step in generator.setUp() { try writer.execute(step.sql) }
        var known = SchemaSnapshot()
        var changes = 0
        for _ in 0..<(TemporaryFiles.environment("TABLECAST_ORACLE_STATEMENTS") ?? 250) {
            let step = generator.next(isInTransaction: !writer.isInAutocommit)
            guard step.blobWrite == nil else { continue }
            // Many statements fail.
            do { try writer.execute(step.sql) } catch {}
            let fresh = try SchemaSnapshot.load(from: writer)
            known = try SchemaSnapshot.load(from: writer, reusing: known)
            let difference = Self.difference(known, fresh)
            try #require(difference == nil, "seed \(seed), after \(step.sql): \(difference ?? "")")
            if known.version != generator.schema.version { changes += 1 }
            generator.schema = known
        }
        // Rolled back, and read by a connection that did not write it.
        if !writer.isInAutocommit { try writer.execute("ROLLBACK") }
        known = try SchemaSnapshot.load(from: writer, reusing: known)
        #expect(Self.difference(known, try SchemaSnapshot.load(from: writer)) == nil, "seed \(seed), at the end")
        #expect(changes > 10, "seed \(seed)")
    }

    @Test func `shares the tables that did not change`() throws {
        let writer = try Connection(path: ":memory:", mode: .readWriteCreate)
        try writer.execute("CREATE TABLE a(x); CREATE TABLE b(x); CREATE VIEW v AS SELECT * FROM a")
        let before = try SchemaSnapshot.load(from: writer)
        try writer.execute("CREATE INDEX i ON b(x); CREATE TABLE c(x)")
        let after = try SchemaSnapshot.load(from: writer, reusing: before)
        #expect(after["a"] === before["a"])
        #expect(after["v"] === before["v"])
        #expect(after["b"] !== before["b"])
        #expect(after["b"]?.objects.map(\.name.string) == ["i"])
    }

    private static func difference(_ left: SchemaSnapshot, _ right: SchemaSnapshot) -> String? {
        if left.version != right.version { return "version \(left.version), expected \(right.version)" }
        let names = Set(left.tables.keys).symmetricDifference(right.tables.keys)
        if !names.isEmpty { return "tables \(names.map(\.string)) in one of them" }
        for (name, table) in left.tables {
            guard let other = right.tables[name] else { continue }
            let isEqual =
                table.description == other.description && table.fields == other.fields
                && table.schemaRowid == other.schemaRowid && table.rootPage == other.rootPage
                && table.shadowOwner == other.shadowOwner && table.objects == other.objects
            if !isEqual { return "table \(name.string)" }
        }
        return nil
    }
}
