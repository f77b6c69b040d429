import WireProtocol

/// The order in which a message about rows names its columns, which is the table's: decoded rows are dictionaries and have
/// lost it.
struct ColumnOrder: Sendable {
    static let unknown = ColumnOrder(ranks: [:])

    private let ranks: [String: Int]

    private init(ranks: [String: Int]) { self.ranks = ranks }

    /// - Parameter message: A valid message, as it came.
    init(message: String) {
        // {"data":{"rows":[{"after":{"column":…
        let depthOfColumns = 5
        var ranks: [String: Int] = [:]
        var depth = 0
        let bytes = Array(message.utf8)
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""):
                let end = Self.end(ofStringAt: index, in: bytes)
                if depth == depthOfColumns, end < bytes.count, bytes[end] == UInt8(ascii: ":"),
                    case .string(let name)? = try? JSONValue(parsing: bytes[index..<end]), ranks[name] == nil
                {
                    ranks[name] = ranks.count
                }
                index = end - 1
            default: break
            }
            index += 1
        }
        self.ranks = ranks
    }

    /// Columns that the message does not name come last, by their names.
    func sorted(_ fields: [String: WireValue]) -> [(name: String, value: WireValue)] {
        let ranked = fields.map { (rank: ranks[$0.key] ?? .max, name: $0.key, value: $0.value) }
        return ranked.sorted { ($0.rank, $0.name) < ($1.rank, $1.name) }.map { ($0.name, $0.value) }
    }

    /// Behind the closing quote.
    private static func end(ofStringAt start: Int, in bytes: [UInt8]) -> Int {
        var index = start + 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index + 1, bytes.count)
    }
}
