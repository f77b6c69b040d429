/// What the main schema of a database holds at one moment.
///
/// A pure value: ``load(from:reusing:)`` makes it, ``SchemaDiff`` compares two. Tables that SQLite keeps for itself
/// (`sqlite_sequence`, `sqlite_stat1` …) are left out; temporary and attached schemas are never looked at.
package struct SchemaSnapshot: Sendable {
    /// A table, view or virtual table.
    package struct Table: Sendable, Hashable {
        package var description: TableDescription
        /// How the rows are stored; without any field for views and virtual tables.
        package var fields: RecordFields
        /// The rowid in `sqlite_schema`, which `ALTER TABLE` keeps.
        package var schemaRowid: Int64
        /// The root page of the table's b-tree; 0 for views and virtual tables.
        package var rootPage: Int64
        /// The virtual table whose content this table is part of.
        package var shadowOwner: SQLName?
        /// The table's indexes and triggers in the order in which they were created; automatic indexes belong to the
        /// table's own definition.
        package var objects: [Object]

        package var name: SQLName { SQLName(description.name) }
        package var isShadow: Bool { shadowOwner != nil }
    }

    package struct Object: Sendable, Hashable {
        package var kind: SchemaChange.ObjectChange.Kind
        package var name: SQLName
        package var sql: SQLName
    }

    /// `PRAGMA schema_version` at that moment.
    package var version: Int64
    package var tables: [SQLName: Table]

    package init(version: Int64 = -1, tables: [SQLName: Table] = [:]) {
        self.version = version
        self.tables = tables
    }

    package subscript(name: String) -> Table? { tables[SQLName(name)] }

    /// The tables that clients hear of, in the order in which they were created.
    package var visibleTables: [Table] {
        tables.values.filter { !$0.isShadow }.sorted { $0.schemaRowid < $1.schemaRowid }
    }
}
