import ChangeCapture
import OracleSupport
import SQLiteConnection

/// Every row of every table as SQL reads it, by key: the decoded changes must lead to it.
struct TableContents {
    var tables: [String: [[SQLiteValue]: (rowid: Int64?, row: Row)]] = [:]

    init() {}

    init(_ connection: Connection, _ schema: TestSchema) throws {
        for (name, table) in schema.tables {
            let columns = table.description.columns.map {
                $0.visibility == .generatedVirtual ? "NULL" : "\"\($0.name)\""
            }
            let rowid = table.description.hasRowid ? "rowid" : "NULL"
            var rows: [[SQLiteValue]: (rowid: Int64?, row: Row)] = [:]
            for row in try connection.query(
                "SELECT \(rowid), \(columns.joined(separator: ",")) FROM \"\(name)\" NOT INDEXED"
            ) {
                let values = Array(row.dropFirst())
                if case .integer(let rowid) = row[0] {
                    // No key of a table without rowid starts with two NULLs.
                    rows[[.null, .null, row[0]]] = (rowid, Row(values))
                } else {
                    rows[table.description.primaryKey.map { values[$0] }] = (nil, Row(values))
                }
            }
            tables[name] = rows
        }
    }

    /// The rows of a replica after it applied the schema changes, and before it applies any row.
    func carried(over changes: [SchemaChange], _ before: TreeCatalog, _ after: TreeCatalog) -> TableContents {
        var result = self
        var taken: [String: [[SQLiteValue]: (rowid: Int64?, row: Row)]] = [:]
        for change in changes {
            switch change {
            case .dropped(let table): result.tables[table.name] = nil
            case .created(let table): taken[table.name] = [:]
            case .modified(let modification):
                let old = modification.previousName ?? modification.table.name
                var rows = tables[old] ?? [:]
                if modification.previousName != nil, tables[modification.table.name] == nil { result.tables[old] = nil }
                let oldLayout = before.trees.compactMap(\.layout).first { $0.table.name == old }
                let newLayout = after.trees.compactMap(\.layout).first { $0.table.name == modification.table.name }
                if let oldLayout, let newLayout,
                    let mapping = ColumnMapping(from: oldLayout, to: newLayout, sources: modification.columnSources)
                {
                    rows = rows.mapValues { entry in
                        let values = entry.row.values
                        return (
                            entry.rowid,
                            Row(
                                zip(mapping.sources, mapping.missingValues).map { source, missing in
                                    source.map { values[$0] } ?? missing
                                }
                            )
                        )
                    }
                }
                taken[modification.table.name] = rows
            }
        }
        for (name, rows) in taken { result.tables[name] = rows }
        return result
    }

    /// The rows that differ, by table.
    func changes(to after: TableContents) -> [String: Set<RowChange>] {
        var result: [String: Set<RowChange>] = [:]
        for (name, rows) in after.tables {
            let old = tables[name] ?? [:]
            var changes: Set<RowChange> = []
            for (key, entry) in rows {
                guard let previous = old[key] else {
                    changes.insert(RowChange(operation: .insert, rowid: entry.rowid, before: nil, after: entry.row))
                    continue
                }
                if previous.row != entry.row {
                    changes.insert(
                        RowChange(operation: .update, rowid: entry.rowid, before: previous.row, after: entry.row)
                    )
                }
            }
            for (key, entry) in old where rows[key] == nil {
                changes.insert(RowChange(operation: .delete, rowid: entry.rowid, before: entry.row, after: nil))
            }
            if !changes.isEmpty { result[name] = changes }
        }
        return result
    }
}
