package import NIOCore

/// Sending: directly to the socket where possible, otherwise through the queue and the channel.
extension WebSocketHandler {
    /// Whether messages may still be sent.
    package var isOpen: Bool { closing.isOpen && channel != nil }

    /// Sends complete frames; nothing is sent once the connection is closing.
    @discardableResult
    package func write(_ frames: ByteBuffer) -> Int {
        guard let express else {
            if closing.isOpen { enqueue(frames) }
            return queuedBytes
        }
        let sent = express.send(frames)
        guard sent < frames.readableBytes else { return 0 }
        var rest = frames
        rest.moveReaderIndex(forwardBy: sent)
        enqueue(rest)
        return queuedBytes
    }

    /// Sends one text message in one frame, compressed if that was agreed and makes it smaller.
    package func send(text: ByteBuffer) {
        send(.text, text)
    }

    /// Sends one binary message in one frame, like ``send(text:)``.
    package func send(binary: ByteBuffer) {
        send(.binary, binary)
    }

    private func send(_ opcode: Opcode, _ payload: ByteBuffer) {
        guard closing.isOpen else { return }
        if let deflate {
            let compressor = resources.compressor(windowBits: deflate.sharedWindowBits)
            write(compressor.frame(opcode, payload, mask: mask()))
        } else {
            write(FrameEncoder.frame(opcode, payload, mask: mask()))
        }
    }

    /// Sends a ping without payload.
    package func ping() {
        write(role == .server ? FrameEncoder.emptyPing : FrameEncoder.frame(.ping, ByteBuffer(), mask: mask()))
    }

    func mask() -> MaskingKey? {
        role == .client ? .random() : nil
    }

    func enqueue(_ frames: ByteBuffer) {
        guard channel != nil, frames.readableBytes > 0 else { return }
        queue.append(frames)
        noteQueue()
        flushQueue()
    }

    /// Call it after every change of the queue and of the connection's state.
    func noteQueue() {
        queuedBytes = queue.bytes
        express = queue.isEmpty && closing.isOpen ? direct : nil
    }

    private func flushQueue() {
        guard let context, !isFlushing else { return }
        isFlushing = true
        defer { noteQueue() }
        // A loop, because a channel that writes at once reports the end of a batch before the next statement.
        while true {
            let batch = queue.nextBatch()
            guard let last = batch.last else { break }
            for buffer in batch.dropLast() {
                context.write(wrapOutboundOut(buffer), promise: nil)
            }
            writeAndWatch(last, context)
        }
        isFlushing = false
    }

    func writeAndWatch(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        let promise = eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: promise)
        promise.futureResult.assumeIsolated().whenComplete { result in
            self.batchEnded(isWritten: (try? result.get()) != nil)
        }
    }

    private func batchEnded(isWritten: Bool) {
        queue.batchEnded()
        guard isWritten else {
            leaveSocket()
            return
        }
        noteQueue()
        // Queued bytes were taken: the peer is alive, even if this side holds back its reads. A write that the kernel
        // took at once does not prove anything about the peer.
        if !isFlushing { heartbeat?.noteActivity() }
        flushQueue()
        readIfWanted()
        guard queue.isEmpty else { return }
        if shutsWhenDrained {
            shutOutput()
        } else if closing.isOpen {
            session?.drained()
        }
    }
}
