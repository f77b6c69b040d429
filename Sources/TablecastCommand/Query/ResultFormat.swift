/// How `query` prints rows.
enum ResultFormat: Sendable, Hashable {
    /// Aligned columns, for people.
    case table(lineWidth: Int)
    /// One value a line.
    case vertical
    /// One JSON object a line, values as in the protocol.
    case json
    /// RFC 4180, with the names of the columns in the first line.
    case csv
}
