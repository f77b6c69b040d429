import SQLiteConnection

/// The facts about a table that capturing its rows needs, computed once for each version of the schema.
///
/// A class, so that the callback that runs once per row takes one reference instead of copying every list.
final class TableShape: Sendable {
    let table: TableDescription
    /// Columns with REAL affinity: SQLite stores a whole number as an integer, and the hook may report it as one.
    let readsIntegersAsReal: [Bool]
    /// The columns that identify a row; empty when the rowid does.
    let identity: [Int]
    /// The columns by which messages name a row, when these are neither the rowid nor ``identity``.
    let namedKey: [Int]
    /// The hook's values cannot be mapped to columns without loss: the row is read through SQL instead.
    ///
    /// On 3.40.1 the values come in storage order, which leaves out virtual columns, but the rowid's alias and the conversion
    /// to REAL are looked up by column number; the same happens where the key of a `WITHOUT ROWID` table does not lead. Where
    /// that key names a column twice, the hook reports as many fields as the table has columns, and misses the last
    /// ones.
    let isReadThroughSQL: Bool
    /// The last column that can have been added with a default. Where it and all columns after it are NULL, the row can
    /// be older than the column, and 3.40.1 does not report the default; -1 when there is none.
    let lastAddedDefault: Int
    /// The columns that can have been added with a default. An update can change their value although no part of the
    /// statement sets them: `TEXT DEFAULT FALSE` reads as the integer 0 while the row is older than the column, and the
    /// next update of the row stores the text '0'.
    let addedWithDefault: [Int]
    /// For each column, whether it is one of ``addedWithDefault``.
    let isAddedWithDefault: [Bool]
    /// The hook's indexes of the columns of ``identity``, and of their new values in an update: the two differ on
    /// 3.40.1 in tables with virtual columns.
    let hookColumnsOfIdentity: [Int]
    let updateColumnsOfIdentity: [Int]
    /// The positions in ``identity`` whose old value 3.40.1 can report as a REAL although it is an INTEGER: it looks
    /// the conversion up by the position in the key instead of the column.
    let doubtfulKeyPositions: [Int]
    let columnCount: Int
    /// The hook misses columns of ``identity``: it does not identify the row.
    let isIdentityHidden: Bool
    /// Some column has REAL affinity.
    private let hasRealColumn: Bool
    /// The name by which SQL reaches the rowid; nil when columns hide all of its names.
    let rowidName: String?

    convenience init(_ table: SchemaSnapshot.Table) { self.init(table.description, table.fields) }

    init(_ table: TableDescription, _ fields: RecordFields) {
        let columns = table.columns
        self.table = table
        readsIntegersAsReal = columns.map { Affinity.isReal(declared: $0.type) }
        var seen: Set<Int> = []
        identity = table.hasRowid ? [] : table.primaryKey.filter { seen.insert($0).inserted }
        namedKey = table.hasRowid && table.rowidAlias == nil ? table.primaryKey : []
        let hasVirtual = columns.contains { $0.visibility == .generatedVirtual }
        let isKeyLeading = identity == Array(0..<identity.count)
        let isKeyRepeated = fields.keyCount > identity.count
        isReadThroughSQL = hasVirtual || isKeyRepeated || (!isKeyLeading && readsIntegersAsReal.contains(true))
        isIdentityHidden =
            isKeyRepeated
            && identity.contains { column in (fields.columns.firstIndex(of: column) ?? .max) >= columns.count }
        let isAdded = columns.indices.map { column in
            columns[column].defaultSQL.map { $0.uppercased() != "NULL" } ?? false
                && table.rowidAlias != column && !table.primaryKey.contains(column)
        }
        isAddedWithDefault = isAdded
        addedWithDefault = columns.indices.filter { isAdded[$0] }
        lastAddedDefault = addedWithDefault.last ?? -1
        rowidName = table.rowidName
        columnCount = columns.count
        hasRealColumn = readsIntegersAsReal.contains(true)
        hookColumnsOfIdentity = identity
        let (isReal, key) = (readsIntegersAsReal, identity)
        doubtfulKeyPositions =
            HookDialect.mapsColumns ? [] : key.indices.filter { isReal[$0] && !isReal[key[$0]] }
        updateColumnsOfIdentity =
            HookDialect.mapsColumns
            ? identity
            : identity.map { column in
                column - columns[..<column].count { $0.visibility == .generatedVirtual }
            }
    }

    /// The value as a query reads it.
    @inline(__always)
    func normal(_ value: BorrowedValue, _ column: Int) -> BorrowedValue {
        guard hasRealColumn, case .integer(let integer) = value, readsIntegersAsReal[column] else { return value }
        return .real(Double(integer))
    }

    /// Whether an UPDATE of these columns can give a row another identity.
    func isMoved(byUpdating updated: Set<SQLName>) -> Bool {
        // The authorizer's name for the rowid of a table without an alias, whichever name the SQL used.
        if table.hasRowid, updated.contains(SQLName("ROWID")) { return true }
        let key = table.hasRowid ? table.rowidAlias.map { [$0] } ?? [] : identity
        return key.contains { updated.contains(SQLName(table.columns[$0].name)) }
    }

    /// Whether 3.40.1 can report a new value as a REAL that it stores as an INTEGER: one that comes from a virtual column of
    /// REAL affinity, a whole number of at most six bytes.
    func canMistakeForReal(_ value: BorrowedValue, _ column: Int) -> Bool {
        guard isReadThroughSQL, !readsIntegersAsReal[column], case .real(let real) = value else { return false }
        return real == real.rounded() && abs(real) <= 0x1p47
    }

    /// The columns that an UPDATE of these columns can change, including generated ones; all columns when that is not
    /// known.
    func changeableColumns(_ updated: Set<SQLName>?) -> [Int] {
        let columns = table.columns
        guard let updated, !columns.contains(where: { $0.visibility == .generatedStored }) else {
            return Array(columns.indices)
        }
        return columns.indices.filter { updated.contains(SQLName(columns[$0].name)) }
    }
}
