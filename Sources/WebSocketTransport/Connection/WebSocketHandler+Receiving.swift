package import NIOCore

/// What comes in.
extension WebSocketHandler {
    /// Takes bytes that arrived before this handler stood in the pipeline.
    package func receive(_ bytes: ByteBuffer) {
        heartbeat?.heard()
        var input = bytes
        do throws(ProtocolViolation) {
            while closing.isReading, let event = try decoder.next(&input) {
                if let message = try assembler.take(event) { handle(message) }
            }
        } catch {
            perform(closing.fail(error, now: eventLoop.now))
            reportClose()
        }
    }

    /// Asks the channel for more, after a handler that stood here before has held back a read.
    func readAgain() {
        holdsRead = true
        readIfWanted()
    }

    /// Passes on a held read unless the session or the peer is behind. A connection that closes reads in any case:
    /// what is held back then would hold back the peer's end of the handshake.
    func readIfWanted() {
        let mayRead = isReading && queue.bytes <= resources.limits.maxUnsentBytesWhileReading
        guard holdsRead, mayRead || !closing.isOpen else { return }
        holdsRead = false
        context?.read()
    }

    private func handle(_ message: InboundMessage) {
        switch message {
        case .text(let text):
            if closing.isOpen { session?.received(text: text) }
        case .binary(let binary):
            if closing.isOpen { session?.received(binary: binary) }
        case .ping(let payload):
            write(FrameEncoder.frame(.pong, payload, mask: mask()))
        case .pong:
            // Any byte from the peer has told the heartbeat already; section 5.5.3 allows unasked ones.
            break
        case .close(let frame):
            perform(closing.received(frame, now: eventLoop.now))
            reportClose()
        }
    }
}
