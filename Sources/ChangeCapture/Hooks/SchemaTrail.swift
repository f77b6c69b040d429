import SQLiteConnection

/// The schemas that one transaction passes through: they identify a table across renames, and `ROLLBACK TO` finds the
/// schema to return to.
///
/// The schema cookie only increases within a transaction, and a rollback sets it back: it identifies the steps.
struct SchemaTrail {
    struct Step {
        var snapshot: SchemaSnapshot
        /// Maps each table to a table at the beginning of the transaction.
        var identities: SchemaIdentities
        /// The statement that made this schema.
        var ordinal: UInt32
    }

    private(set) var base: SchemaSnapshot
    private(set) var steps: [Step] = []

    init(base: SchemaSnapshot) { self.base = base }

    var current: SchemaSnapshot { steps.last?.snapshot ?? base }
    var hasSteps: Bool { !steps.isEmpty }

    /// The name at the beginning of the transaction; nil for a table that is new in it.
    func baseName(of name: SQLName) -> SQLName? {
        guard let step = steps.last else { return base.tables[name] == nil ? nil : name }
        return step.identities.previousNames[name]
    }

    /// The tables whose columns changed since the beginning, by their current name.
    var columnSources: [SQLName: [Int?]] { steps.last?.identities.columnSources ?? [:] }

    /// The current name of a table of the beginning; nil for one that was dropped.
    func currentName(ofBase name: SQLName) -> SQLName? {
        guard let step = steps.last else { return base.tables[name] == nil ? nil : name }
        return step.identities.previousNames.first { $0.value == name }?.key
    }

    /// The schema changes since the beginning.
    var changes: [SchemaChange] {
        guard let step = steps.last else { return [] }
        return SchemaDiff.changes(from: base, to: step.snapshot, identities: step.identities)
    }

    /// For each current column of a table, its position in the schema in which a statement ran; nil when the columns
    /// did not change.
    func columnSources(of name: SQLName, since ordinal: UInt32) -> [Int?]? {
        var result = SchemaIdentities(unchanged: current)
        var index = steps.count - 1
        // A statement changes the schema after it touched its rows.
        while index >= 0, steps[index].ordinal >= ordinal {
            let before = index > 0 ? steps[index - 1].snapshot : base
            result = SchemaIdentities(from: before, to: steps[index].snapshot, inStatement: true)
                .followed(by: result)
            index -= 1
        }
        return result.columnSources[name]
    }

    enum Movement: Equatable {
        case none
        case forward
        /// Everything since that statement was undone.
        case back(firstUndone: UInt32)
    }

    /// Records the schema after a statement. `load` reads it when it is a new one.
    mutating func move(
        to version: Int64,
        ordinal: UInt32,
        load: (SchemaSnapshot) throws(SQLiteError) -> SchemaSnapshot
    ) throws(SQLiteError) -> Movement {
        if version == current.version { return .none }
        let kept =
            version == base.version ? 0 : steps.lastIndex { $0.snapshot.version == version }.map { $0 + 1 }
        if let kept, kept < steps.count {
            let firstUndone = steps[kept].ordinal
            steps.removeSubrange(kept...)
            return .back(firstUndone: firstUndone)
        }
        let next = try load(current)
        let step = SchemaIdentities(from: current, to: next, inStatement: true)
        let whole = steps.last?.identities.followed(by: step) ?? step
        steps.append(Step(snapshot: next, identities: whole, ordinal: ordinal))
        return .forward
    }

    /// Replaces the description of the current schema.
    mutating func replaceCurrent(_ snapshot: SchemaSnapshot) {
        guard let step = steps.indices.last else { return }
        steps[step].snapshot = snapshot
    }

    /// The current schema becomes the base of the next transaction.
    mutating func commit() {
        base = current
        steps = []
    }

    mutating func rollBack() { steps = [] }

    mutating func rebase(_ snapshot: SchemaSnapshot) {
        base = snapshot
        steps = []
    }
}
