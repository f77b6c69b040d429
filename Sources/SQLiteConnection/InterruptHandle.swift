import CSQLite
import Synchronization

/// Interrupts what a connection runs, from any thread, at any time.
///
/// `sqlite3_interrupt` must not race with `sqlite3_close`: the handle's own lock is held during both, so a cancel never
/// waits for a query and never touches a closed connection.
///
/// Source: [sqlite3_interrupt](https://sqlite.org/c3ref/interrupt.html).
package final class InterruptHandle: Sendable {
    // The pointer is only ever passed to sqlite3_interrupt, which is safe from other threads, and only under the lock
    // that clears it before the connection closes. Stored as an address because a pointer is not Sendable.
    private let address: Mutex<UInt>

    init(_ handle: OpaquePointer) {
        address = Mutex(UInt(bitPattern: handle))
    }

    /// Makes every statement that runs on the connection now return `SQLITE_INTERRUPT`.
    ///
    /// A statement that starts while others still run is interrupted too; with none running it does nothing.
    package func interrupt() {
        address.withLock { address in
            if let handle = OpaquePointer(bitPattern: address) { sqlite3_interrupt(handle) }
        }
    }

    /// Runs the closing of the connection; afterwards ``interrupt()`` does nothing.
    func invalidate(closing close: () -> Void) {
        address.withLock { address in
            close()
            address = 0
        }
    }
}
