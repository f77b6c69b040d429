package import WireProtocol

/// A set of channels.
package struct Channels: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(_ channel: Channel) {
        switch channel {
        case .queries: self = .queries
        case .tables: self = .tables
        case .notifications: self = .notifications
        case .collaboration: self = .collaboration
        }
    }

    package static let queries = Self(rawValue: 1)
    package static let tables = Self(rawValue: 2)
    package static let notifications = Self(rawValue: 4)
    package static let collaboration = Self(rawValue: 8)
}
