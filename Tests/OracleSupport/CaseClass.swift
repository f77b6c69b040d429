package import ChangeCapture
import SQLiteConnection

/// The special cases in a commit that an oracle checked: a class that an oracle never meets hides its faults.
package enum CaseClass: String, CaseIterable, Sendable, Comparable {
    case addedDefault = "rows of a table with added columns of any default"
    case addedFirst = "an added column with a default that became the first one"
    case virtualColumn = "virtual columns"
    case virtualColumnAltered = "virtual columns altered with rows"
    case jsonInSchema = "JSON functions in a schema"
    case repeatedKey = "key that repeats a column"
    case collatedKey = "key with collations"
    case nullKey = "NULL in a primary key"
    case hiddenRowid = "rowid that no name reaches"
    case writableSchema = "writable_schema"
    case contentTable = "content table of the user"
    case contentTableAltered = "virtual table whose columns follow another table"
    case virtualTable = "virtual tables"
    case rename = "renames"
    case renameWithColumns = "renames with other columns"
    case swap = "names that were swapped"
    case malformedText = "text that is not UTF-8"
    case dropAndCreate = "dropped and created in one commit"
    case objectsMoved = "index or trigger that moved to another table"
    case vacuum = "VACUUM"

    package static func < (left: CaseClass, right: CaseClass) -> Bool { left.rawValue < right.rawValue }

    /// The classes of a commit.
    ///
    /// - Parameters:
    ///   - changes: the captured changes.
    ///   - statements: the statements that ran.
    ///   - schema: the schema after the commit.
    package static func classes(
        of changes: ChangeSet,
        statements: [String],
        schema: SchemaSnapshot
    ) -> Set<CaseClass> {
        if changes.isEmpty { return [] }
        var classes: Set<CaseClass> = []
        if statements.contains(where: { $0.contains("_schema") }) { classes.insert(.writableSchema) }
        if statements.contains(where: { $0.hasPrefix("VACUUM") }) { classes.insert(.vacuum) }
        var altered: Set<SQLName> = []
        var previousNames: Set<SQLName> = []
        var newNames: Set<SQLName> = []
        var removed: Set<SQLName> = []
        var (drops, creations) = (false, false)
        for case .schema(let change) in changes.events {
            switch change {
            case .created: creations = true
            case .dropped: drops = true
            case .modified(let change):
                altered.insert(SQLName(change.table.name))
                if change.table.kind == .virtual, change.previousName == nil, change.columnSources != nil {
                    classes.insert(.contentTableAltered)
                }
                let fields = schema[change.table.name]?.fields.columns ?? []
                if let first = fields.first, let sources = change.columnSources, sources[first] == nil,
                    change.table.columns[first].defaultSQL != nil
                {
                    classes.insert(.addedFirst)
                }
                if let previous = change.previousName {
                    previousNames.insert(SQLName(previous))
                    newNames.insert(SQLName(change.table.name))
                    if change.columnSources != nil { classes.insert(.renameWithColumns) }
                }
                for object in change.objects {
                    if object.action == .removed { removed.insert(SQLName(object.name)) }
                    if object.action == .added, removed.contains(SQLName(object.name)) { classes.insert(.objectsMoved) }
                }
            }
        }
        if drops, creations { classes.insert(.dropAndCreate) }
        if !newNames.isEmpty { classes.insert(.rename) }
        if !newNames.isDisjoint(with: previousNames) { classes.insert(.swap) }
        for case .rows(let rows) in changes.events {
            classes.formUnion(Self.classes(of: rows, schema, isAltered: altered.contains(SQLName(rows.table.name))))
        }
        return classes
    }

    private static func classes(of rows: TableRows, _ schema: SchemaSnapshot, isAltered: Bool) -> Set<CaseClass> {
        let table = rows.table
        var classes: Set<CaseClass> = []
        if table.kind == .virtual { classes.insert(.virtualTable) }
        if table.columns.contains(where: { $0.name.hasPrefix("n") && $0.defaultSQL != nil }) {
            classes.insert(.addedDefault)
        }
        if table.columns.contains(where: { $0.visibility == .generatedVirtual }) {
            classes.insert(.virtualColumn)
            if isAltered { classes.insert(.virtualColumnAltered) }
        }
        let objects = schema[table.name]?.objects.map(\.sql.string) ?? []
        if ([table.sql] + objects).contains(where: { $0.contains("json") }) { classes.insert(.jsonInSchema) }
        if table.name == "note_content" { classes.insert(.contentTable) }
        if table.kind == .table, table.rowidName == nil, table.hasRowid { classes.insert(.hiddenRowid) }
        if let fields = schema[table.name]?.fields, fields.keyCount > 0 {
            let key = fields.columns.prefix(fields.keyCount)
            if Set(key).count < key.count { classes.insert(.repeatedKey) }
            if table.sql.contains("COLLATE") { classes.insert(.collatedKey) }
        }
        if rows.rows.contains(where: { ($0.before?.hasMalformedText ?? false) || ($0.after?.hasMalformedText ?? false) }
        ) {
            classes.insert(.malformedText)
        }
        if table.hasRowid, table.rowidAlias == nil, rows.detail == .values,
            rows.rows.contains(where: { row in
                let values = (row.after ?? row.before)?.values ?? []
                return table.primaryKey.contains { values[$0] == .null }
            })
        {
            classes.insert(.nullKey)
        }
        return classes
    }
}

extension Row {
    fileprivate var hasMalformedText: Bool { values.contains { if case .malformedText = $0 { true } else { false } } }
}
