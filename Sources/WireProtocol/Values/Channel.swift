/// A stream of messages that a client can subscribe to.
public enum Channel: String, Sendable, Hashable, Codable, CaseIterable {
    case queries
    case tables
    case notifications
    case collaboration
}
