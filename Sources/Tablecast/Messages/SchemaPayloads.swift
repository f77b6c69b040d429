import ChangeCapture
import WireProtocol

// Converts the capture's model to the types of the protocol.

extension ColumnPayload {
    init(_ column: ColumnDescription) {
        self.init(
            name: column.name,
            type: column.type,
            isNotNull: column.isNotNull,
            primaryKeyOrdinal: column.primaryKeyOrdinal,
            defaultSQL: column.defaultSQL,
            generated: column.visibility.generated
        )
    }
}

extension ColumnDescription.Visibility {
    fileprivate var generated: String? {
        switch self {
        case .normal, .hidden: nil
        case .generatedVirtual: "virtual"
        case .generatedStored: "stored"
        }
    }
}

extension TableDescription.Kind {
    var objectType: TableObjectType {
        switch self {
        case .table: .table
        case .view: .view
        case .virtual: .virtual
        }
    }
}

extension SchemaObjectPayload {
    init(_ change: SchemaChange.ObjectChange, withSQL hasSQL: Bool) {
        self.init(
            action: Action(change.action),
            kind: Kind(change.kind),
            name: change.name,
            sql: hasSQL ? change.sql : nil
        )
    }
}

extension SchemaObjectPayload.Action {
    fileprivate init(_ action: SchemaChange.ObjectChange.Action) {
        switch action {
        case .added: self = .added
        case .removed: self = .removed
        case .changed: self = .changed
        }
    }
}

extension SchemaObjectPayload.Kind {
    fileprivate init(_ kind: SchemaChange.ObjectChange.Kind) {
        switch kind {
        case .index: self = .index
        case .trigger: self = .trigger
        }
    }
}

extension RowLevel {
    /// The capture level that the row level needs.
    var captureLevel: CaptureLevel {
        switch self {
        case .none: .counts
        case .keys: .keys
        case .values: .values
        }
    }
}

extension RowChange.Operation {
    var tableOperation: TableOperations {
        switch self {
        case .insert: .insert
        case .update: .update
        case .delete: .delete
        }
    }
}

extension RowsModification {
    mutating func count(_ operation: RowChange.Operation) {
        switch operation {
        case .insert: inserted += 1
        case .update: updated += 1
        case .delete: deleted += 1
        }
    }
}
