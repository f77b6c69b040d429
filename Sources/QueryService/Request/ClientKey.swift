/// Who a query belongs to: one WebSocket connection, or one HTTP request. A transaction belongs to the client that began
/// it. Never used twice within the life of a service.
package struct ClientKey: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init(_ rawValue: String) { self.rawValue = rawValue }

    package var description: String { rawValue }
}
