package import SQLiteConnection

/// The values of a statement's parameters.
///
/// Source: [Parameters](https://sqlite.org/lang_expr.html#varparam).
package enum LiveParameters: Hashable, Sendable {
    case positional([SQLiteValue])
    /// Names with or without their prefix.
    case named([String: SQLiteValue])

    package static let none = LiveParameters.positional([])

    /// The values of parameters 1, 2 … of a statement.
    ///
    /// - Throws: an error that names the missing or superfluous one.
    package func values(for statement: borrowing Statement) throws(LiveRefusal) -> [SQLiteValue] {
        let count = statement.parameterCount
        var values: [SQLiteValue] = []
        var names: Set<String> = []
        for index in 0..<count {
            let name = statement.parameterName(at: index + 1)
            if let name { names.formUnion([name, String(name.dropFirst())]) }
            values.append(try value(index, name, count: count))
        }
        switch self {
        case .positional(let given) where given.count > count:
            throw LiveRefusal(.sqlError, "the SQL has \(count) parameters, and \(given.count) values were given")
        case .named(let given):
            if let unused = given.keys.sorted().first(where: { !names.contains($0) }) {
                throw LiveRefusal(.sqlError, "the SQL has no parameter named \(unused)")
            }
        default: break
        }
        return values
    }

    private func value(_ index: Int, _ name: String?, count: Int) throws(LiveRefusal) -> SQLiteValue {
        switch self {
        case .positional(let values):
            guard index < values.count else {
                throw LiveRefusal(
                    .sqlError,
                    "no value for parameter \(name ?? "?\(index + 1)"): the SQL has \(count), and \(values.count) were given"
                )
            }
            return values[index]
        case .named(let values):
            guard let name else {
                throw LiveRefusal(
                    .sqlError,
                    "parameter \(index + 1) has no name: give the values in order, or name it in the SQL"
                )
            }
            guard let value = values[name] ?? values[String(name.dropFirst())] else {
                throw LiveRefusal(.sqlError, "no value for parameter \(name)")
            }
            return value
        }
    }
}
