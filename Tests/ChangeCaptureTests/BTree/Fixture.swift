import ChangeCapture
import Foundation
import OracleSupport
import SQLiteConnection

/// The files in Fixtures/wal.
enum Fixture {
    static func bytes(_ name: String) -> [UInt8] {
        let folder = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/wal")
        return readBytes(folder.appendingPathComponent(name).path)
    }

    static func image(_ name: String) throws -> DatabaseImage { try DatabaseImage(bytes(name)) }

    /// The records of a table with rowids, by rowid, read from its leaves.
    static func records(ofTree root: UInt32, in image: DatabaseImage) throws -> [Int64: [UInt8]] {
        var records: [Int64: [UInt8]] = [:]
        let buffer = PayloadBuffer()
        let walk = try TreeWalk(root: root, in: image)
        try walk.forEachPage(in: image) { (number, _, level) throws(WALDecodeError) in
            guard level == 0 else { return }
            try image.withTreePage(number, format: image.format) { (page) throws(WALDecodeError) in
                for index in 0..<page.cellCount {
                    let cell = try page.cell(at: index)
                    let payload = try buffer.payload(of: cell, on: page, in: image) { _ in }
                    records[cell.rowid] = [UInt8](payload)
                }
            }
        }
        return records
    }

    /// A table with only ordinary columns, except those that the arguments name.
    static func table(
        _ columns: [ColumnDescription],
        name: String = "t",
        primaryKey: [Int] = [],
        hasRowid: Bool = true,
        rowidAlias: Int? = nil
    ) -> TableDescription {
        TableDescription(
            name: name,
            kind: .table,
            sql: "",
            columns: columns,
            primaryKey: primaryKey,
            hasRowid: hasRowid,
            rowidAlias: rowidAlias
        )
    }

    static func column(
        _ name: String,
        _ type: String = "",
        default defaultSQL: String? = nil,
        _ visibility: ColumnDescription.Visibility = .normal
    ) -> ColumnDescription {
        ColumnDescription(
            name: name,
            type: type,
            isNotNull: false,
            defaultSQL: defaultSQL,
            primaryKeyOrdinal: 0,
            visibility: visibility
        )
    }
}

extension TableLayout {
    /// For a table with rowid whose added columns have no defaults.
    convenience init(_ table: TableDescription, missingValue: SQLiteValue = .null) {
        self.init(
            table,
            fields: RecordFields(ofRowidTable: table.columns),
            missingValues: table.columns.map { $0.defaultSQL == nil ? .null : missingValue }
        )
    }
}
