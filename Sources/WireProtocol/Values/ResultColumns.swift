/// The columns of a result as the fields of an object.
public enum ResultColumns {
    /// The names, each of them once: of several columns with one name the first keeps it, the next become `n:1`, `n:2` and so
    /// on, as SQLite itself calls the columns of a subquery. What another column is called is left out.
    public static func uniqueNames(_ names: [String]) -> [String] {
        var taken = Set(names)
        guard taken.count < names.count else { return names }
        var seen: Set<String> = []
        var lastNumbers: [String: Int] = [:]
        return names.map { name in
            if seen.insert(name).inserted { return name }
            var number = lastNumbers[name] ?? 0
            // It is taken, by the first of its name.
            var unique = name
            while !taken.insert(unique).inserted {
                number += 1
                unique = "\(name):\(number)"
            }
            lastNumbers[name] = number
            return unique
        }
    }
}
