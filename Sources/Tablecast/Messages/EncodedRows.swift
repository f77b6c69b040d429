import ChangeCapture
import LiveQueries
import WireProtocol

/// The rows of one transaction as JSON: each table's once for each level, however many subscriptions list them.
struct TransactionRows: Sendable {
    private struct Key: Hashable {
        /// A transaction has the rows of a table once.
        var table: SQLName
        var level: RowLevel
    }

    private var encoded: [Key: EncodedRows] = [:]

    /// - Parameter level: not ``RowLevel/none``.
    mutating func encoded(_ rows: TableRows, _ level: RowLevel) -> EncodedRows {
        let key = Key(table: SQLName(rows.table.name), level: level)
        if let known = encoded[key] { return known }
        let new = EncodedRows(rows, level: level)
        encoded[key] = new
        return new
    }
}

/// The changed rows of one table as elements of a JSON array.
struct EncodedRows: Sendable {
    /// With their commas.
    private let json: [UInt8]
    /// Where each ends.
    private let ends: [Int]
    let operations: [RowChange.Operation]
    /// Names of the columns that `before` and `after` lack.
    let columnsOmitted: [String]

    /// - Parameter crossings: how each row crossed the subscription's condition; empty without one.
    init(_ rows: TableRows, level: RowLevel, crossings: [FilteredRows.Crossing?] = []) {
        columnsOmitted = level == .values ? rows.columnsOmitted : []
        let columns = rows.table.columns
        let row = RowChangeWriter(
            rows.table,
            level: level,
            detail: rows.detail,
            omitting: Set(columns.indices.filter { rows.columnsOmitted.contains(columns[$0].name) })
        )
        var writer = JSONWriter(capacityBytes: 4096)
        var ends: [Int] = []
        ends.reserveCapacity(rows.rows.count)
        for (index, change) in rows.rows.enumerated() {
            row.write(change, crossing: crossings.indices.contains(index) ? crossings[index] : nil, to: &writer)
            ends.append(writer.count)
        }
        json = writer.bytes
        self.ends = ends
        operations = rows.rows.map(\.operation)
    }

    /// Those with one of these operations.
    func indices(of wanted: TableOperations) -> [Int] {
        operations.indices.filter { wanted.contains(operations[$0].tableOperation) }
    }

    func bytes(of index: Int) -> ArraySlice<UInt8> {
        // Behind the comma.
        json[(index == 0 ? 0 : ends[index - 1] + 1)..<ends[index]]
    }

    /// About what the rows take, with their commas.
    func byteCount(of indices: ArraySlice<Int>) -> Int {
        guard let first = indices.first, let last = indices.last else { return 0 }
        return ends[last] - bytes(of: first).startIndex
    }

    /// - Parameter indices: ascending.
    func write(_ indices: ArraySlice<Int>, to writer: inout JSONWriter) {
        guard let first = indices.first, let last = indices.last else { return }
        // All of them: at once, commas included.
        if last - first + 1 == indices.count {
            writer.raw(json[bytes(of: first).startIndex..<ends[last]])
        } else {
            for index in indices { writer.raw(bytes(of: index)) }
        }
    }
}
