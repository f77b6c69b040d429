import WireProtocol

/// A view whose tables or columns are gone, or a virtual table whose module is missing: it is in the schema, and any use of
/// it fails.
package struct UnusableTable: Error, Sendable, Hashable, CustomStringConvertible {
    let name: String
    /// As `PRAGMA table_list` says it.
    let kind: String
    /// What SQLite says.
    let reason: String

    package var description: String {
        "the \(kind == "virtual" ? "virtual table" : kind) \(quoted(name)) cannot be used: \(reason)"
    }
}
