public import SQLiteConnection

/// The values of one row, in the order of ``TableDescription/columns``.
///
/// Kept as one allocation in SQLite's record format (UTF-8, every column present, shortest integers), so that two rows are
/// equal exactly when their bytes are.
///
/// Source: [Record Format](https://sqlite.org/fileformat2.html#record_format).
public struct Row: Sendable, Hashable {
    package let record: [UInt8]
    /// The number of columns.
    public let count: Int

    package init(record: [UInt8], count: Int) {
        self.record = record
        self.count = count
    }

    public init(_ values: [SQLiteValue]) {
        var builder = RowBuilder()
        for value in values { builder.append(value) }
        self = builder.finish()
    }

    /// Every value, decoded.
    public var values: [SQLiteValue] {
        var values: [SQLiteValue] = []
        values.reserveCapacity(count)
        forEachField { values.append($0.owned) }
        return values
    }

    /// The value of one column. Walks the record's header: take ``values`` for all of them.
    public subscript(column: Int) -> SQLiteValue {
        precondition(column >= 0 && column < count, "column \(column) of a row with \(count) columns")
        var index = 0
        var result = SQLiteValue.null
        forEachField { field in
            if index == column { result = field.owned }
            index += 1
        }
        return result
    }

    /// Calls `body` with every field in order, without copying its bytes.
    package func forEachField<E>(_ body: (Field) throws(E) -> Void) throws(E) {
        // The storage was built by RowBuilder, so its header is whole. withUnsafeBytes rethrows untyped errors.
        let result: Result<Void, E> = record.withUnsafeBytes { bytes in
            var header = 0
            guard let headerSize = Varint.read(bytes, at: &header) else { return .success(()) }
            let headerEnd = Int(headerSize)
            var position = headerEnd
            do throws(E) {
                while header < headerEnd, let raw = Varint.read(bytes, at: &header) {
                    let type = SerialType(rawValue: raw)
                    let end = position + (type.byteCount ?? 0)
                    guard let field = Field(type, UnsafeRawBufferPointer(rebasing: bytes[position..<end])) else {
                        break
                    }
                    position = end
                    try body(field)
                }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}
