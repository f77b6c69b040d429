import Broadcast
import NIOCore
import Synchronization

/// How the hub frames a message for connections with compression: once for each of two windows, however many connections
/// there are. Thread-safe.
final class CompressedRepresentations: Sendable {
    private let large: Representation
    private let small: Representation

    init(limits: WebSocketLimits) {
        large = SharedCompressor(windowBits: 15, limits).representation
        small = SharedCompressor(windowBits: 9, limits).representation
    }

    subscript(agreement: DeflateAgreement) -> Representation {
        agreement.sharedWindowBits == 15 ? large : small
    }
}

private final class SharedCompressor: Sendable {
    private let windowBits: Int
    /// The lock is held while a message is compressed; the hub asks once for each message.
    private let compressor: Mutex<MessageCompressor>

    init(windowBits: Int, _ limits: WebSocketLimits) {
        self.windowBits = windowBits
        compressor = Mutex(MessageCompressor(windowBits: windowBits, minBytes: limits.minCompressedBytes))
    }

    var representation: Representation {
        Representation(name: "websocket, deflate \(windowBits)") { message in
            self.compressor.withLock { $0.frame(.text, message.json) }
        }
    }
}
