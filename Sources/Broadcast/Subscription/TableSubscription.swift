package import WireProtocol

/// One subscription to `tables`: the client's filter, and the rights behind it.
///
/// Equal filters with equal rights are one subscription with one ``id``, whichever clients have it: its messages are
/// encoded once and their bytes are shared.
package struct TableSubscription: Sendable {
    package let filter: TableFilter
    /// Identifies the rights that determine the visible rows, beyond the tables in ``filter``. Empty when every row is
    /// allowed.
    package let rights: String
    /// The `subscription` field of messages: the same in every process, so that replayed messages keep their ids.
    package let id: String
    private let fingerprint: UInt64

    /// - Parameters:
    ///   - filter: narrowed to the tables that the client may read.
    ///   - rights: equal for two clients that may read the same rows of every table.
    package init(_ filter: TableFilter, rights: String = "") {
        self.filter = filter
        self.rights = rights
        fingerprint = Self.fingerprint(of: filter.canonicalText, rights)
        id = "t" + Self.base36(fingerprint >> 13, digits: 10)
    }

    /// FNV-1a, and the finalizer of MurmurHash3, which spreads the last bytes over the high bits.
    private static func fingerprint(of texts: String...) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for text in texts {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            // Not a byte of UTF-8: it keeps the end of one text apart from the beginning of the next.
            hash = (hash ^ 0xFF) &* 0x100_0000_01b3
        }
        hash = (hash ^ (hash >> 33)) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ (hash >> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return hash ^ (hash >> 33)
    }

    private static func base36(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 36).suffix(digits)
        return String(repeating: "0", count: digits - text.count) + text
    }
}

extension TableSubscription: Hashable {
    package static func == (left: Self, right: Self) -> Bool {
        left.fingerprint == right.fingerprint && left.filter == right.filter && left.rights == right.rights
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
}

/// A set of channels.
package struct Channels: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(_ channel: MessageChannel) {
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
