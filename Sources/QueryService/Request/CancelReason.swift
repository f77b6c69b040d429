/// Why a query was cancelled; the raw values are the protocol's.
package enum CancelReason: String, Sendable, Hashable {
    case client
    case timeout
    case disconnect
    case shutdown
}
