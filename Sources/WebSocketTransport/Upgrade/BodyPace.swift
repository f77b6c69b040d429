import NIOCore

/// How long a request's body may take: a little for each piece, and more for what has arrived already.
///
/// The clock runs only while somebody waits for the next piece, so that an application may take its time over a large
/// upload; a client that sends a byte now and then uses its time up.
struct BodyPace: Hashable {
    /// What a byte is worth: 500 of them a second are enough.
    static let timePerByte = TimeAmount.milliseconds(2)

    /// What a client has before its first piece, and at most while it waits with the next.
    let patience: TimeAmount
    private var allowance: TimeAmount
    private var waitsSince: NIODeadline?

    init(patience: TimeAmount) {
        self.patience = patience
        allowance = patience
    }

    /// When the time is over; nil while nobody waits.
    var deadline: NIODeadline? { waitsSince.map { $0 + allowance } }

    /// Somebody wants the next piece.
    mutating func wait(now: NIODeadline) {
        if waitsSince == nil { waitsSince = now }
    }

    mutating func received(byteCount: Int, now: NIODeadline) {
        let used = waitsSince.map { now - $0 } ?? .zero
        waitsSince = nil
        // Bounded first: an array of bytes is never so long that this overflows, and it need not be shown.
        let counted = Int64(min(byteCount, 1 << 30))
        let earned = TimeAmount.nanoseconds(counted * Self.timePerByte.nanoseconds)
        allowance = min(max(allowance - used, .zero) + earned, patience)
    }
}
