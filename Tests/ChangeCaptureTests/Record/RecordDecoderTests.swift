import ChangeCapture
import SQLiteConnection
import Testing

@Suite struct RecordDecoderTests {
    private let layout = TableLayout(
        Fixture.table(
            [
                Fixture.column("id", "INTEGER"), Fixture.column("x"), Fixture.column("r", "REAL"),
                Fixture.column("g", "", .generatedVirtual), Fixture.column("last"),
                Fixture.column("added", "TEXT", default: "'default'"),
            ],
            primaryKey: [0],
            rowidAlias: 0
        ),
        missingValue: .text("default")
    )

    private func rows() throws -> [Int64: [SQLiteValue]] {
        var decoder = RecordDecoder()
        var rows: [Int64: [SQLiteValue]] = [:]
        for (rowid, record) in try Fixture.records(ofTree: 2, in: Fixture.image("every-type.db")) {
            rows[rowid] = record.withUnsafeBytes {
                decoder.row($0, rowid: rowid, layout: layout, encoding: .utf8)?.values
            }
        }
        return rows
    }

    @Test func `every integer width is read with its sign`() throws {
        let expected: [Int64] = [
            0, 1, -1, 127, 128, -128, -129, 32_767, 32_768, -32_769, 8_388_607, 8_388_608, -8_388_609, 2_147_483_647,
            2_147_483_648, -2_147_483_649, 140_737_488_355_327, 140_737_488_355_328, -140_737_488_355_329, .max, .min,
        ]
        let rows = try rows()
        #expect((1...21).map { rows[$0]?[1] } == expected.map { .integer($0) })
    }

    @Test func `other types and payloads that overflow are read whole`() throws {
        let rows = try rows()
        let expected: [SQLiteValue] = [
            .null, .real(1.5), .text(""), .text("text"), .text("é€😀"), .blob([]), .blob([0, 1, 2]),
            .text(String(repeating: "x", count: 400)), .blob([UInt8](repeating: 0x55, count: 3000)), .text("a\0b"),
        ]
        #expect((101...110).map { rows[$0]?[1] } == expected)
    }

    @Test func `an integer in a column with REAL affinity is a real`() throws {
        #expect(try rows()[3]?[2] == .real(2))
        #expect(try rows()[200]?[2] == .real(2))
    }

    @Test func `the rowid's alias is the rowid, a virtual column is NULL`() throws {
        #expect(try rows()[200]?[0] == .integer(200))
        #expect(try rows()[200]?[3] == .null)
        #expect(try rows()[200]?[4] == .text("end"))
    }

    @Test func `a record from before a column was added reads its default`() throws {
        #expect(try rows()[101]?[5] == .text("default"))
        #expect(try rows()[200]?[5] == .text("given"))
    }

    @Test(
        arguments: [
            [],  // no header
            [0x05, 0x01],  // the header is longer than the record
            [0x02, 0x0a],  // reserved type
            [0x02, 0x0b],
            [0x02, 0x06, 0x00],  // the body is shorter than the type says
            [0x03, 0x00, 0x81],  // the header ends within a type
            [0x02, 0x81, 0x00],
            [0x00],  // a header that does not count itself
            [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],  // a length past any integer
        ] as [[UInt8]]
    )
    func `a malformed record is no row`(_ record: [UInt8]) {
        var decoder = RecordDecoder()
        let layout = TableLayout(Fixture.table([Fixture.column("x")]))
        #expect(record.withUnsafeBytes { decoder.row($0, rowid: 1, layout: layout, encoding: .utf8) } == nil)
    }

    @Test func `a malformed record leaves nothing behind for the next`() throws {
        var decoder = RecordDecoder()
        let layout = TableLayout(Fixture.table([Fixture.column("x"), Fixture.column("y")]))
        let bad: [UInt8] = [0x03, 0x01, 0x0a, 0x07]
        let good: [UInt8] = [0x03, 0x01, 0x09, 0x07]
        #expect(bad.withUnsafeBytes { decoder.row($0, rowid: 1, layout: layout, encoding: .utf8) } == nil)
        let row = good.withUnsafeBytes { decoder.row($0, rowid: 1, layout: layout, encoding: .utf8) }
        #expect(row?.values == [.integer(7), .integer(1)])
    }

    @Test func `integers stored longer than need be make the same row`() throws {
        var decoder = RecordDecoder()
        let layout = TableLayout(Fixture.table([Fixture.column("x")]))
        let forms: [[UInt8]] = [[0x02, 0x09], [0x02, 0x01, 0x01], [0x02, 0x06, 0, 0, 0, 0, 0, 0, 0, 1]]
        let rows = forms.map { $0.withUnsafeBytes { decoder.row($0, rowid: 1, layout: layout, encoding: .utf8) } }
        #expect(Set(rows).count == 1)
        #expect(rows[0]?.values == [.integer(1)])
    }
}
