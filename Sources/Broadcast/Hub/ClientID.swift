/// A connection of a hub; never used twice in one process.
package struct ClientID: Sendable, Hashable {
    /// The shard that the connection belongs to.
    let shard: Int
    package let number: UInt64
}

extension ClientID: CustomStringConvertible {
    package var description: String { "client \(number)" }
}
