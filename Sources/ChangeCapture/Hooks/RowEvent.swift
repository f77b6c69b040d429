import SQLiteConnection

/// One row that is about to change, as the pre-update hook reports it.
///
/// The values count in the hook's own order, and are borrowed for as long as the event.
protocol RowEvent: ~Copyable {
    /// Stands for the table: the same for all of its rows within one statement.
    var tableIdentity: UInt { get }
    var operation: UpdateOperation { get }
    var oldRowid: Int64 { get }
    var newRowid: Int64 { get }
    /// An incremental blob write, which the hook calls a delete.
    var isBlobWrite: Bool { get }
    func oldValue(_ column: Int) -> BorrowedValue
    func newValue(_ column: Int) -> BorrowedValue
}

extension PreUpdate: RowEvent {
    var isBlobWrite: Bool { blobWriteColumn != nil }
}
