import ChangeCapture
import SQLiteConnection

extension SelectAnalysis {
    /// The result columns that contain the keys of all tables: together they identify a row.
    func resultKey() -> [Int]? {
        // The position of each item's columns in the result; a star shifts the following ones.
        var places: [(item: Int, name: SQLName, place: Int)] = []
        var next = 0
        let hasUsing = shape.items.contains { $0.isNatural || $0.hasUsing }
        for column in shape.columns {
            if column.isStar {
                if hasUsing { return nil }
                let wanted = column.starTable.map { SQLName($0).caseFolded }
                for (number, item) in items.enumerated()
                where wanted == nil || SQLName(unquoted: item.name).caseFolded == wanted {
                    for entry in item.table.columns where entry.visibility != .hidden {
                        places.append((number, SQLName(entry.name).caseFolded, next))
                        next += 1
                    }
                }
                continue
            }
            if let (qualifier, name) = columnName(column.tokens) {
                let owners = items.indices.filter { number in
                    if let qualifier { return SQLName(unquoted: items[number].name).caseFolded == qualifier }
                    return items[number].table.columns.contains { SQLName($0.name).caseFolded == name }
                }
                if owners.count == 1 { places.append((owners[0], name, next)) }
            }
            next += 1
        }
        var key: [Int] = []
        for (number, item) in items.enumerated() {
            let table = item.table
            var names: [SQLName]
            if let alias = table.rowidAlias {
                names = [SQLName(table.columns[alias].name).caseFolded]
            } else {
                guard !table.primaryKey.isEmpty,
                    table.primaryKey.allSatisfy({ table.columns[$0].isNotNull || !table.hasRowid })
                else { return nil }
                names = table.primaryKey.map { SQLName(table.columns[$0].name).caseFolded }
            }
            for name in names {
                guard let found = places.first(where: { $0.item == number && $0.name == name }) else { return nil }
                key.append(found.place)
            }
        }
        return key
    }

    /// The result columns that are the expressions of GROUP BY; nil when some are missing.
    ///
    /// - Parameter expressions: the expressions, as tokens.
    func groupKey(_ expressions: [Range<Int>]) -> [Int]? {
        if shape.columns.contains(where: \.isStar) { return nil }
        var key: [Int] = []
        for expression in expressions {
            let place = shape.columns.firstIndex { shape.areSameExpression($0.tokens, expression) }
            guard let place else { return nil }
            key.append(place)
        }
        return key
    }
}
