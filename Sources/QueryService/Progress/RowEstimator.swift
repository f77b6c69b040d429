import SQLiteConnection

/// Estimates how many rows a table has without reading it.
///
/// A table with rowids is probed at places spread evenly over its range of rowids: how far apart a hundred neighbours are
/// says how dense it is there. Where the density varies too much for an honest answer, and for tables without rowids,
/// `sqlite_stat1` answers, and otherwise nobody does.
struct RowEstimator {
    let connection: Connection

    private static let probes = 32
    private static let neighbours = 100
    /// The largest relative standard error that counts as an answer.
    private static let maxError = 0.05

    /// The entries of the b-tree with this root page, and the name of its table.
    func entries(root: Int) throws(SQLiteError) -> (count: Double, name: String)? {
        let found = try connection.query(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE rootpage = ?",
            [.integer(Int64(root))]
        )
        if root == 1 { return nil }
        guard let row = found.first, case .text(let type) = row[0], case .text(let name) = row[1],
            case .text(let table) = row[2]
        else { return nil }
        let isIndex = type == "index"
        if isIndex, case .text(let sql) = row[3], try isPartial(name) || sql.isEmpty {
            return try statistics(table, index: name).map { ($0, table) }
        }
        if let count = try sample(table) { return (count, table) }
        return try statistics(table, index: nil).map { ($0, table) }
    }

    private func isPartial(_ index: String) throws(SQLiteError) -> Bool {
        try connection.query(
            "SELECT 1 FROM sqlite_schema s, pragma_index_list(s.tbl_name) l WHERE s.name = ?1 AND l.name = ?1 AND l.partial",
            [.text(index)]
        ).isEmpty == false
    }

    private func statistics(_ table: String, index: String?) throws(SQLiteError) -> Double? {
        guard try !connection.query("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").isEmpty else {
            return nil
        }
        let found = try connection.query(
            "SELECT stat FROM sqlite_stat1 WHERE tbl = ? AND (?2 IS NULL OR idx = ?2)",
            [.text(table), index.map { .text($0) } ?? .null]
        )
        guard case .text(let text)? = found.first?.first else { return nil }
        return text.split(separator: " ").first.flatMap { Double($0) }
    }

    private func sample(_ table: String) throws(SQLiteError) -> Double? {
        let name = "\"\(table.replacing("\"", with: "\"\""))\""
        let range: [[SQLiteValue]]
        do {
            range = try connection.query("SELECT (SELECT min(rowid) FROM \(name)), (SELECT max(rowid) FROM \(name))")
        } catch  where error.code.primary == .error {
            // WITHOUT ROWID.
            return nil
        }
        guard case .integer(let low)? = range.first?[0], case .integer(let high)? = range.first?[1] else { return 0 }
        let width = Double(high) - Double(low) + 1
        if width <= Double(Self.probes * Self.neighbours) {
            return try connection.query("SELECT count(*) FROM \(name)").first.flatMap { integer($0[0]) }.map {
                Double($0)
            }
        }
        var probe = try connection.prepare(
            "SELECT rowid FROM \(name) WHERE rowid >= ? ORDER BY rowid LIMIT 1 OFFSET \(Self.neighbours - 1)"
        )
        var densities: [Double] = []
        for index in 0..<Self.probes {
            let start = Double(low) + width * (Double(index) + 0.25) / Double(Self.probes)
            probe.reset()
            try probe.bind(.integer(Int64(exactly: start.rounded()) ?? high), at: 1)
            // Too near the end for so many neighbours.
            guard try probe.step() else { continue }
            densities.append(Double(Self.neighbours) / (Double(probe.integer(0)) - start.rounded() + 1))
        }
        guard densities.count > Self.probes / 2 else { return nil }
        let mean = densities.reduce(0, +) / Double(densities.count)
        let variance = densities.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(densities.count - 1)
        guard (variance / Double(densities.count)).squareRoot() <= mean * Self.maxError else { return nil }
        return width * mean
    }

    private func integer(_ value: SQLiteValue) -> Int64? { if case .integer(let value) = value { value } else { nil } }
}
