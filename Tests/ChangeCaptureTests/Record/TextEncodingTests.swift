import ChangeCapture
import SQLiteConnection
import Testing

@Suite struct TextEncodingTests {
    @Test(arguments: [("utf16le.db", TextEncoding.utf16LittleEndian), ("utf16be.db", .utf16BigEndian)])
    func `text is converted as SQLite converts it`(_ name: String, _ encoding: TextEncoding) throws {
        let image = try Fixture.image(name)
        #expect(image.header.encoding == encoding)
        let records = try Fixture.records(ofTree: 2, in: image)
        let layout = TableLayout(
            Fixture.table([Fixture.column("id", "INTEGER"), Fixture.column("x")], primaryKey: [0], rowidAlias: 0)
        )
        var decoder = RecordDecoder()
        var texts: [SQLiteValue] = []
        for (rowid, record) in records.sorted(by: { $0.key < $1.key }) {
            let row = record.withUnsafeBytes { decoder.row($0, rowid: rowid, layout: layout, encoding: encoding) }
            texts.append(try #require(row)[1])
        }
        // What sqlite3_column_text gives for each.
        #expect(
            texts == [
                .text("aé€"), .text("😀"), .malformedText([0xed, 0xa0, 0x80]), .text("\u{10061}"),
                .text("\u{10061}b"), .text("a\0b"), .text("a"),
            ]
        )
    }

    @Test func `UTF-8 is copied as it is`() {
        var output: [UInt8] = []
        let bytes: [UInt8] = [0x61, 0xff, 0x00, 0xc3]
        bytes.withUnsafeBytes { TextEncoding.utf8.appendUTF8($0, to: &output) }
        #expect(output == bytes)
    }
}
