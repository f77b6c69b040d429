/// One instruction of a compiled statement, as `EXPLAIN` lists it.
///
/// Source: [The SQLite Bytecode Engine](https://sqlite.org/opcode.html). Opcodes may change with every release of SQLite;
/// what is not understood makes an estimate absent, never wrong.
struct Instruction: Hashable, Sendable {
    var address: Int
    var opcode: String
    var p1: Int
    var p2: Int
    var p3: Int
    var p5: Int

    /// Jumps to `p2` on a condition that rows decide.
    var isRowCondition: Bool { Self.rowConditions.contains(opcode) }

    private static let rowConditions: Set<String> = [
        "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "If", "IfNot", "IsNull", "NotNull", "IsTrue", "IsType", "Filter", "Found",
        "NotFound", "NoConflict", "NotExists", "SeekRowid", "SeekGE", "SeekGT", "SeekLE", "SeekLT", "IdxGE", "IdxGT",
        "IdxLE", "IdxLT", "IfNullRow", "IfNoHope", "RowSetTest",
    ]

    /// A rough cost in nanoseconds, of which only the proportions matter. Measured on tables of 10 million rows.
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
        // An entry at the end of its index, behind SeekEnd.
        case "IdxInsert" where p5 & 0x10 != 0: 250
        case "IdxInsert", "IdxDelete": 700
        case "SeekRowid", "NotExists", "SeekGE", "SeekGT", "SeekLE", "SeekLT", "Found", "NotFound", "NoConflict": 250
        case "Next", "Prev": 20
        default: 5
        }
    }
}
