import NIOCore
package import WireProtocol

/// The end of the connection, from the first word of it to the report to the session.
extension WebSocketHandler {
    /// Starts the close handshake. Closing twice does nothing.
    ///
    /// A client that is too slow (4413) or silent (4408) gets the close frame if it takes it within
    /// ``WebSocketLimits/lingerTimeout``; what waited for it is dropped at once.
    package func close(_ code: CloseCode, reason: String = "") {
        let isUrgent = code == .tooSlow || code == .heartbeatTimeout
        guard let action = closing.close(code, reason: reason, isUrgent: isUrgent, now: eventLoop.now) else { return }
        if isUrgent { queue.dropWaiting() }
        perform(action)
        // Not from within this call: whoever closes a connection may be in the middle of a list of them.
        eventLoop.assumeIsolated().execute { self.reportClose() }
    }

    func perform(_ action: CloseHandshake.Action?) {
        noteQueue()
        switch action {
        case .send(let frame):
            enqueue(encoded(frame))
        case .sendAndFinish(let frame):
            shutsWhenDrained = true
            enqueue(encoded(frame))
            if queue.isEmpty { shutOutput() }
        case .finish:
            shutsWhenDrained = true
            if queue.isEmpty { shutOutput() }
        case .abort:
            abort()
        case nil:
            break
        }
        readIfWanted()
    }

    private func encoded(_ frame: CloseFrame) -> ByteBuffer {
        FrameEncoder.frame(.close, frame.payload, mask: mask())
    }

    func shutOutput() {
        guard shutsWhenDrained else { return }
        shutsWhenDrained = false
        context?.close(mode: .output, promise: nil)
    }

    private func abort() {
        guard let channel else { return }
        leaveSocket()
        ConnectionReset.reset(channel)
    }

    /// The channel is about to be closed, or has been: nothing may be sent on its descriptor any more.
    func leaveSocket() {
        direct = nil
        express = nil
    }

    func reportClose() {
        guard let status = closing.status, let session else { return }
        self.session = nil
        session.closed(status)
    }
}
