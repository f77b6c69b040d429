/// One statement of a random script.
package struct ScriptStep: Sendable, CustomStringConvertible {
    package var sql: String
    /// Interrupts the statement after about this many steps of the virtual machine.
    package var interruptAfter: Int?
    /// In place of SQL: an incremental blob write.
    package var blobWrite: BlobWrite?

    package struct BlobWrite: Sendable {
        package var table: String
        package var column: String
        package var rowid: Int64
        package var bytes: [UInt8]

        package init(table: String, column: String, rowid: Int64, bytes: [UInt8]) {
            self.table = table
            self.column = column
            self.rowid = rowid
            self.bytes = bytes
        }
    }

    package init(_ sql: String, interruptAfter: Int? = nil, blobWrite: BlobWrite? = nil) {
        self.sql = sql
        self.interruptAfter = interruptAfter
        self.blobWrite = blobWrite
    }

    package var description: String {
        if let blobWrite {
            return "-- blob write: \(blobWrite.table).\(blobWrite.column) @\(blobWrite.rowid) \(blobWrite.bytes)"
        }
        return sql + ";" + (interruptAfter.map { " -- interrupted after \($0) steps" } ?? "")
    }
}
