#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The wall clock in the unit of the protocol's timestamps.
package enum UnixTime {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package static var milliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}
