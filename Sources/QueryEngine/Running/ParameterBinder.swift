import SQLiteConnection

/// Binds the parameters of a query's statements, and reports which one is missing or superfluous.
struct ParameterBinder {
    private let parameters: QueryParameters
    /// Positional: the number of values that the statements have taken so far.
    private var taken = 0
    /// Named: the entries that a statement has used.
    private var used: Set<Int> = []

    init(_ parameters: QueryParameters) { self.parameters = parameters }

    /// Binds the parameters of the next statement.
    ///
    /// - Parameter isLast: whether no statement follows, so that superfluous values are rejected before it runs.
    mutating func bind(to statement: borrowing Statement, isLast: Bool) throws(QueryFailure) {
        let count = statement.parameterCount
        for index in 0..<count {
            let name = statement.parameterName(at: index + 1)
            let value = try value(at: index, name: name, count: count)
            do {
                try statement.bind(value, at: index + 1)
            } catch {
                var failure = QueryFailure(error)
                failure.message = "parameter \(name ?? "?\(index + 1)"): \(error.message)"
                throw failure
            }
        }
        if case .positional = parameters { taken += count }
        if isLast { try finish() }
    }

    /// Throws when no statement took one of the values.
    func finish() throws(QueryFailure) {
        switch parameters {
        case .none:
            return
        case .positional(let values):
            guard taken < values.count else { return }
            throw QueryFailure(
                .sqlError,
                "the SQL has \(Self.count(taken, "parameter")), and \(Self.given(values.count))"
            )
        case .named(let values):
            guard let unused = values.indices.first(where: { !used.contains($0) }) else { return }
            throw QueryFailure(.sqlError, "the SQL has no parameter named \(values[unused].name)")
        }
    }

    private mutating func value(at index: Int, name: String?, count: Int) throws(QueryFailure) -> SQLiteValue {
        switch parameters {
        case .none:
            throw QueryFailure(.sqlError, "no value for parameter \(name ?? "?\(index + 1)"): no parameters were given")
        case .positional(let values):
            guard taken + index < values.count else {
                throw QueryFailure(
                    .sqlError,
                    "no value for parameter \(name ?? "?\(index + 1)"): the SQL has at least "
                        + "\(Self.count(taken + count, "parameter")), and \(Self.given(values.count))"
                )
            }
            return values[taken + index]
        case .named(let values):
            guard let name else {
                // SQLite numbers gaps too: with only ?5, parameters 1 to 4 exist and nothing refers to them.
                throw QueryFailure(
                    .sqlError,
                    "parameter \(index + 1) has no name: give the values in order, or name it in the SQL"
                )
            }
            let bare = name.dropFirst()
            guard let entry = values.firstIndex(where: { $0.name == name || $0.name == bare }) else {
                throw QueryFailure(.sqlError, "no value for parameter \(name)")
            }
            used.insert(entry)
            if let other = values[(entry + 1)...].first(where: { $0.name == name || $0.name == bare }) {
                throw QueryFailure(
                    .sqlError,
                    "two values for parameter \(name), one named \(values[entry].name) and one named \(other.name)"
                )
            }
            return values[entry].value
        }
    }

    private static func given(_ count: Int) -> String {
        "\(Self.count(count, "value")) \(count == 1 ? "was" : "were") given"
    }

    private static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
