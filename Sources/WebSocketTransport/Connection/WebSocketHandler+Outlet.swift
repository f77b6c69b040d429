package import Broadcast
import NIOCore
import Synchronization

/// A WebSocket is where a hub puts bytes.
extension WebSocketHandler: Outlet {
    package var representation: Representation {
        deflate.map { .webSocket(compressedFor: $0) } ?? .webSocket
    }
}

extension Representation {
    /// Messages from this size on are compressed; a smaller one costs more than it saves. 512 bytes.
    private static let minCompressedBytes = 512

    /// Compressed once for all connections that can share it.
    fileprivate static func webSocket(compressedFor agreement: DeflateAgreement) -> Representation {
        agreement.sharedWindowBits == 15 ? large : small
    }

    private static let large = compressing(windowBits: 15)
    private static let small = compressing(windowBits: 9)

    private static func compressing(windowBits: Int) -> Representation {
        let deflater = SharedDeflater(windowBits: windowBits)
        return Representation(name: "websocket-deflate-\(windowBits)") { message in
            let json = message.json
            guard json.readableBytes >= minCompressedBytes, let compressed = deflater.deflate(json) else {
                return FrameEncoder.text(json)
            }
            return FrameEncoder.text(compressed, isCompressed: true)
        }
    }
}

/// A compressor that any thread may use, one after the other.
private final class SharedDeflater: Sendable {
    private let windowBits: Int
    private let deflater = Mutex<Deflater?>(nil)

    init(windowBits: Int) { self.windowBits = windowBits }

    func deflate(_ message: ByteBuffer) -> ByteBuffer? {
        deflater.withLock { deflater in
            if deflater == nil { deflater = Deflater(windowBits: windowBits) }
            return deflater?.deflate(message)
        }
    }
}
