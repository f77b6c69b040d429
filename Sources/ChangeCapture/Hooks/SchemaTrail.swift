import SQLiteConnection

/// The schemas that one transaction passes through, so that a table is known to be the same one whatever it is called, and
/// a `ROLLBACK TO` finds the schema it goes back to.
///
/// The schema cookie only counts up within a transaction, and a rollback sets it back: it names the steps.
struct SchemaTrail {
    struct Step {
        var snapshot: SchemaSnapshot
        /// Which table of the beginning each table is.
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

    /// The tables whose columns changed since the beginning, by the name they have now.
    var columnSources: [SQLName: [Int?]] { steps.last?.identities.columnSources ?? [:] }

    /// The name that a table of the beginning has now; nil for one that is gone.
    func currentName(ofBase name: SQLName) -> SQLName? {
        guard let step = steps.last else { return base.tables[name] == nil ? nil : name }
        return step.identities.previousNames.first { $0.value == name }?.key
    }

    /// What happened to the schema since the beginning.
    var changes: [SchemaChange] {
        guard let step = steps.last else { return [] }
        return SchemaDiff.changes(from: base, to: step.snapshot, identities: step.identities)
    }

    /// For each column of a table now, its position in the schema in which a statement ran; nil where the columns are the
    /// same ones.
    func columnSources(of name: SQLName, since ordinal: UInt32) -> [Int?]? {
        var result = SchemaIdentities(unchanged: current)
        var index = steps.count - 1
        // A statement's own change of the schema comes after the rows that it touched.
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
        /// Everything from that statement on was undone.
        case back(firstUndone: UInt32)
    }

    /// Takes in the schema after a statement. `load` reads it when it is one that was not seen yet.
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

    /// Describes the schema that is there now better.
    mutating func replaceCurrent(_ snapshot: SchemaSnapshot) {
        guard let step = steps.indices.last else { return }
        steps[step].snapshot = snapshot
    }

    /// What is there now is what the next transaction begins with.
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
