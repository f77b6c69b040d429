import SQLiteConnection

/// Turns records of a b-tree into ``Row``s. Reuse one for many rows: it keeps its memory.
package struct RecordDecoder {
    private var header = RecordHeader()
    private var builder = RowBuilder()
    private var utf8: [UInt8] = []

    package init() {}

    /// The row of a whole record, in the order of the table's columns; nil when the record is malformed.
    ///
    /// VIRTUAL generated columns are NULL, text is converted to UTF-8 as SQLite does, and an integer in a column with REAL
    /// affinity is read as a real.
    package mutating func row(
        _ payload: UnsafeRawBufferPointer,
        rowid: Int64,
        layout: TableLayout,
        encoding: TextEncoding
    ) -> Row? {
        guard header.parse(payload) else { return nil }
        for index in layout.columns.indices {
            let column = layout.columns[index]
            switch column.source {
            case .rowid: builder.append(integer: rowid)
            case .virtual: builder.appendNull()
            case .field(let field) where field < header.fields.count:
                append(header.fields[field], of: payload, asReal: column.readsIntegersAsReal, encoding)
            // A table whose missing values are not known is not decoded.
            case .field: builder.append(layout.missingValues?[index] ?? .null)
            }
        }
        return builder.finish()
    }

    /// A row decoded with one layout, in the order and with the columns of another.
    package mutating func row(_ row: Row, mappedBy mapping: ColumnMapping) -> Row {
        let values = row.values
        for (source, missing) in zip(mapping.sources, mapping.missingValues) {
            builder.append(source.map { values[$0] } ?? missing)
        }
        return builder.finish()
    }

    @inline(__always)
    private mutating func append(
        _ position: RecordHeader.Position,
        of payload: UnsafeRawBufferPointer,
        asReal: Bool,
        _ encoding: TextEncoding
    ) {
        // The header was checked against the payload's length.
        let end = position.offset + (position.type.byteCount ?? 0)
        guard let field = Field(position.type, UnsafeRawBufferPointer(rebasing: payload[position.offset..<end])) else {
            builder.appendNull()
            return
        }
        switch field {
        case .integer(let value) where asReal: builder.append(real: Double(value))
        case .text(let bytes) where encoding != .utf8:
            utf8.removeAll(keepingCapacity: true)
            encoding.appendUTF8(bytes, to: &utf8)
            utf8.withUnsafeBytes { builder.append(text: $0) }
        default: builder.append(field)
        }
    }
}
