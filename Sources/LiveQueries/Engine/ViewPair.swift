import ChangeCapture
import SQLiteConnection

/// The states before and after a step, each on a connection with temporary tables for sets of keys.
///
/// Use it on one thread.
final class ViewPair {
    private let views: CommitViews
    let deadline: Deadline
    /// The rights that apply to the statement that is compiled now.
    var rights = LiveRights.all
    /// The content of each table, by the connection and the table.
    private var loaded: [[String: Set<[SQLiteValue]>]] = [[:], [:]]
    private var tables: [Set<String>] = [[], []]
    private var inserts: [[String: KeptStatement]] = [[:], [:]]

    init(
        path: String,
        watcherLimits: WatcherLimits,
        hold: LogHold,
        isStopped: @escaping @Sendable () -> Bool
    ) throws(WatchError) {
        views = try CommitViews(path: path, limits: watcherLimits, hold: hold)
        deadline = Deadline(isStopped: isStopped)
        for connection in views.connections {
            do {
                try EvaluationPolicy().apply(to: connection)
                LiveEvaluation.bound(connection)
            } catch {
                throw .sqlite(error)
            }
            deadline.install(on: connection)
            connection.setAuthorizer { [unowned self] request in
                // The engine's own key tables, which no client's query can refer to.
                guard request.action == .read, request.database != "temp", let table = request.first else {
                    return .allow
                }
                return rights.mayRead(table) ? .allow : .deny
            }
        }
    }

    var commits: CommitViews { views }

    /// 0 is the state before, 1 the one after.
    func connection(_ side: Int) -> Connection { side == 0 ? views.before : views.after }

    /// The connection that currently shows that side.
    func number(of side: Int) -> Int {
        views.isFirstAfter == (side == 1) ? 0 : 1
    }

    /// Loads keys into a temporary table of the side's connection and returns its name.
    func load(_ keys: Set<[SQLiteValue]>, slot: Int, on side: Int) throws(SQLiteError) -> String {
        let number = number(of: side)
        let width = keys.first?.count ?? 1
        // A set of integers in one column is a b-tree in which SQLite looks keys up; SQLite would copy any other set
        // into one for each statement.
        let isInteger = width == 1 && keys.allSatisfy { if case .integer = $0[0] { true } else { false } }
        let table = "tablecast_keys_\(slot)_\(isInteger ? "i" : "\(width)")"
        if loaded[number][table] == keys { return table }
        let connection = connection(side)
        let columns = (0..<width).map { "k\($0)" }.joined(separator: ", ")
        if tables[number].insert(table).inserted {
            try connection.execute("CREATE TEMP TABLE \(table)(\(isInteger ? "k0 INTEGER PRIMARY KEY" : columns))")
        }
        loaded[number][table] = nil
        try connection.execute("BEGIN; DELETE FROM temp.\(table)")
        defer { if !connection.isInAutocommit { try? connection.execute("COMMIT") } }
        let insert: KeptStatement
        if let known = inserts[number][table] {
            insert = known
        } else {
            let places = (0..<width).map { _ in "?" }.joined(separator: ", ")
            insert = try KeptStatement("INSERT INTO temp.\(table) VALUES(\(places))", on: connection)
            inserts[number][table] = insert
        }
        for key in keys {
            try insert.bind(key)
            _ = try insert.statement.step()
        }
        try connection.execute("COMMIT")
        loaded[number][table] = keys
        return table
    }

    func close() {
        inserts = [[:], [:]]
        views.close()
    }
}
