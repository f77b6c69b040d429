/// What a frame is, RFC 6455 section 5.2. The other ten values are reserved and are a protocol error here.
package enum Opcode: UInt8, Sendable, Hashable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Control frames are never fragmented, carry 125 bytes at most, and may come between fragments (section 5.5).
    var isControl: Bool { rawValue & 0x8 != 0 }
}
