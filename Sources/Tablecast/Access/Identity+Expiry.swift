package import NIOCore
import WireProtocol

extension Identity {
    /// Whether it is over, by the wall clock.
    func hasExpired(at milliseconds: Int64) -> Bool { expiresAt.map { $0 <= milliseconds } ?? false }

    /// After what time to look again whether it is over: the wall clock may be set meanwhile. Zero when it is, nil when it
    /// never will be.
    package var timeUntilExpiryCheck: TimeAmount? {
        guard let expiresAt else { return nil }
        let now = UnixTime.milliseconds
        // Compared first: a time far in the past or in the future would overflow.
        guard expiresAt > now else { return .zero }
        return expiresAt > now + 60_000 ? .minutes(1) : .milliseconds(expiresAt - now)
    }
}
