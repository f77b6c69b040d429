import NIOCore

/// Finds out that a client takes nothing of a response any more, however much of it waits.
struct ResponseStall: Hashable {
    /// How long not a byte may go out while some wait.
    let patience: TimeAmount
    private var waitingBytes = 0
    private var since: NIODeadline?

    init(patience: TimeAmount) { self.patience = patience }

    /// Notes how many bytes wait; true when it is time to give up.
    ///
    /// A number that changes is taken for progress: who writes responses does not add to one that the client does not take.
    mutating func isOver(waitingBytes: Int, now: NIODeadline) -> Bool {
        guard waitingBytes > 0, waitingBytes == self.waitingBytes, let since else {
            self.waitingBytes = waitingBytes
            since = waitingBytes > 0 ? now : nil
            return false
        }
        return now - since >= patience
    }
}
