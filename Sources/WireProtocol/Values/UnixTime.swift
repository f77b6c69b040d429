#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The wall clock in the unit of the protocol's timestamps.
public enum UnixTime {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public static var milliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}

extension Duration {
    /// Whole milliseconds, the unit of the protocol's durations; the rest is cut off.
    package var milliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
