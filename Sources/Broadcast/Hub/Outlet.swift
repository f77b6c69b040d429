package import NIOCore
package import WireProtocol

/// One connection, as the hub sees it: somewhere to put bytes.
///
/// Confined to its event loop: the hub calls it there and nowhere else. It may call ``Hub/disconnect(_:)`` and
/// ``Hub/drained(_:)`` from within these calls.
package protocol Outlet: AnyObject {
    var eventLoop: any EventLoop { get }

    /// How messages are framed for this connection; never changes.
    var representation: Representation { get }

    /// What was written and has not been taken by the kernel, in bytes.
    var queuedBytes: Int { get }

    /// Sends whole frames, ready-made, and flushes. The buffer is shared with other connections. Returns ``queuedBytes``
    /// as they are afterwards. Whoever implements this calls ``Hub/drained(_:)`` when all was taken after some of it had
    /// to wait.
    func write(_ frames: ByteBuffer) -> Int

    /// Ends the connection, and drops what waits when the code is ``CloseCode/tooSlow``. Whoever implements this calls
    /// ``Hub/disconnect(_:)`` at the end, then or later; the hub writes nothing after it.
    func close(_ code: CloseCode, reason: String)
}
