/// A loop of a compiled statement: the instructions from the target of a backward jump to the jump itself.
struct ProgramLoop: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// Over all entries of the b-tree with this root page, counted by `SQLITE_STMTSTATUS_FULLSCAN_STEP`.
        case scan(root: Int)
        /// Over all entries of a b-tree, not counted.
        case uncountedScan(root: Int)
        /// Over the rows that an earlier loop put into a sorter or a transient table, by its cursor.
        case drain(cursor: Int)
        /// Over the rows that a coroutine yields, within that coroutine's own loop.
        case consumer
        /// The number of iterations cannot be determined.
        case unknown
    }

    var start: Int
    var end: Int
    var kind: Kind

    func contains(_ address: Int) -> Bool { start <= address && address <= end }
    func contains(_ other: ProgramLoop) -> Bool { self != other && contains(other.start) && contains(other.end) }
}

/// A compiled statement, analysed as far as estimating its work needs.
struct Program: Sendable {
    let instructions: [Instruction]
    private(set) var loops: [ProgramLoop] = []
    /// A trigger's program scans a table, once for each row: the amount of work is unknown.
    private(set) var scansInTriggers = false

    /// - Parameter listing: the rows of `EXPLAIN`, with the programs of triggers after the main one.
    init(_ listing: [Instruction]) {
        let main = listing.enumerated().prefix { $0.offset == $0.element.address }.map(\.element)
        instructions = main
        scansInTriggers = listing.dropFirst(main.count).contains { ["Next", "Prev"].contains($0.opcode) && $0.p5 == 1 }
        loops = main.compactMap(loop(endingAt:)).sorted { ($0.start, -$0.end) < ($1.start, -$1.end) }
    }

    private func loop(endingAt last: Instruction) -> ProgramLoop? {
        guard last.p2 < last.address, last.p2 > 0, last.p2 < instructions.count else { return nil }
        let kind: ProgramLoop.Kind
        switch last.opcode {
        case "Next", "Prev", "SorterNext":
            kind = self.kind(of: last)
        case "VNext":
            kind = .unknown
        case "Goto":
            // The jump back from the prologue, which SQLite places at the end.
            if last.address >= (instructions.first?.p2 ?? 0) { return nil }
            switch instructions[last.p2].opcode {
            case "Yield": kind = .consumer
            case "RowSetRead": kind = .drain(cursor: instructions[last.p2].p1)
            default: kind = .unknown
            }
        default:
            return nil
        }
        return ProgramLoop(start: last.p2, end: last.address, kind: kind)
    }

    private func kind(of next: Instruction) -> ProgramLoop.Kind {
        let before = instructions[..<next.p2].reversed()
        let entry = before.first { $0.p1 == next.p1 && Self.entries.contains($0.opcode) }
        guard entry?.p2 ?? 0 > next.address || entry?.opcode == "Sort" || entry?.opcode == "SorterSort" else {
            return .unknown
        }
        let opening = before.first { $0.p1 == next.p1 && Self.openings.contains($0.opcode) }
        switch opening?.opcode {
        case "OpenEphemeral", "SorterOpen":
            return .drain(cursor: next.p1)
        case "OpenRead", "OpenWrite", "ReopenIdx":
            // Only for the main database, and not for the root of an object that this statement creates.
            guard let opening, opening.p3 == 0, opening.p5 & 0x10 == 0 else { return .unknown }
            return next.p5 == 1 ? .scan(root: opening.p2) : .uncountedScan(root: opening.p2)
        default:
            return .unknown
        }
    }

    private static let entries: Set<String> = ["Rewind", "Last", "Sort", "SorterSort"]
    private static let openings: Set<String> = ["OpenRead", "OpenWrite", "ReopenIdx", "OpenEphemeral", "SorterOpen"]

    /// Whether the loop runs once although it is inside another one: the code for constants and for subqueries that do
    /// not depend on the row.
    func isOnce(_ loop: ProgramLoop) -> Bool {
        instructions[..<loop.start].contains { $0.opcode == "Once" && $0.p2 > loop.end }
    }

    /// Whether the loop inserts or deletes rows of a table (not of a transient one), or yields them to a loop that
    /// does.
    func writesRows(_ loop: ProgramLoop) -> Bool {
        writesItself(loop)
            || has("Yield", loop) && loops.contains { $0.kind == .consumer && $0 != loop && writesItself($0) }
    }

    private func writesItself(_ loop: ProgramLoop) -> Bool {
        instructions[loop.start...loop.end].contains { instruction in
            ["Insert", "Delete"].contains(instruction.opcode)
                && instructions.contains { $0.opcode == "OpenWrite" && $0.p1 == instruction.p1 }
        }
    }

    private func has(_ opcode: String, _ loop: ProgramLoop) -> Bool {
        instructions[loop.start...loop.end].contains { $0.opcode == opcode }
    }

    /// A LIMIT can leave the loop before its end.
    func hasLimit(_ loop: ProgramLoop) -> Bool {
        instructions[loop.start...loop.end].contains { $0.opcode == "DecrJumpZero" && !loop.contains($0.p2) }
    }
}

/// One instruction of a compiled statement, as `EXPLAIN` lists it.
///
/// Source: [The SQLite Bytecode Engine](https://sqlite.org/opcode.html). Opcodes may change with every release of SQLite;
/// an unknown one makes an estimate absent, never wrong.
struct Instruction: Hashable, Sendable {
    var address: Int
    var opcode: String
    var p1: Int
    var p2: Int
    var p3: Int
    var p5: Int

    /// Jumps to `p2` on a condition that depends on the row.
    var isRowCondition: Bool { Self.rowConditions.contains(opcode) }

    private static let rowConditions: Set<String> = [
        "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "If", "IfNot", "IsNull", "NotNull", "IsTrue", "IsType", "Filter", "Found",
        "NotFound", "NoConflict", "NotExists", "SeekRowid", "SeekGE", "SeekGT", "SeekLE", "SeekLT", "IdxGE", "IdxGT",
        "IdxLE", "IdxLT", "IfNullRow", "IfNoHope", "RowSetTest",
    ]

    /// A rough cost in nanoseconds, of which only the ratios matter. Measured on tables of 10 million rows.
    var cost: Double {
        switch opcode {
        case "Column", "VColumn": 14
        case "MakeRecord": 45
        case "SorterInsert": 420
        case "SorterData": 20
        case "SorterNext": 300
        case "AggStep", "Compare", "Function": 30
        case "ResultRow": 400
        case "Insert", "Delete": 450
        // An entry at the end of its index, after SeekEnd.
        case "IdxInsert" where p5 & 0x10 != 0: 250
        case "IdxInsert", "IdxDelete": 700
        case "SeekRowid", "NotExists", "SeekGE", "SeekGT", "SeekLE", "SeekLT", "Found", "NotFound", "NoConflict": 250
        case "Next", "Prev": 20
        default: 5
        }
    }
}
