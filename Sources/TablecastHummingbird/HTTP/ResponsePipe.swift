import NIOCore
import Synchronization
import Tablecast

/// Carries bytes from threads that must not wait for the network, an event loop or a query's thread, to the task that
/// writes one HTTP response.
///
/// Its writers bound it: each write returns how many bytes are on their way, and the drain handler is called when the
/// response has taken them. All pending bytes are taken as one buffer, so a busy pipe costs one write for many
/// messages.
///
/// Thread-safe. One reader.
final class ResponsePipe: Sendable {
    /// Why ``next()`` returns no more bytes and writes are dropped.
    private enum Closing: Sendable {
        case open
        /// Pending bytes are still sent.
        case finished
        /// Pending bytes are still sent, and others are missing.
        case broken
        /// The client has disconnected.
        case cancelled
    }

    private struct State {
        var pending = ByteBuffer()
        /// Bytes that ``next()`` returned and that are not written yet.
        var bytesInFlight = 0
        var closing = Closing.open
        var reader: CheckedContinuation<Void, Never>?
        var onDrain: (@Sendable () -> Void)?
        var onCancel: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// Adds bytes and returns how many are now on their way; after the end the bytes are dropped.
    @discardableResult
    func write(_ bytes: ByteBuffer) -> Int {
        let (reader, queued) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Int) in
            guard case .open = state.closing else { return (nil, 0) }
            if state.pending.readableBytes == 0 {
                state.pending = bytes
            } else {
                state.pending.writeImmutableBuffer(bytes)
            }
            defer { state.reader = nil }
            return (state.reader, state.pending.readableBytes + state.bytesInFlight)
        }
        reader?.resume()
        return queued
    }

    var queuedBytes: Int { state.withLock { $0.pending.readableBytes + $0.bytesInFlight } }

    /// Ends the response after the pending bytes.
    func finish() { close(.finished) }

    /// Ends the response after the pending bytes, so that the client sees that it is incomplete.
    func breakOff() { close(.broken) }

    var isBroken: Bool {
        state.withLock { if case .broken = $0.closing { true } else { false } }
    }

    /// Cancels the response: the client has disconnected, or is too slow. Calls the cancel handler, once.
    func cancel() { close(.cancelled) }

    private func close(_ closing: Closing) {
        let (reader, handler) = state.withLock {
            state -> (CheckedContinuation<Void, Never>?, (@Sendable () -> Void)?) in
            guard case .open = state.closing else { return (nil, nil) }
            state.closing = closing
            var handler: (@Sendable () -> Void)?
            if case .cancelled = closing {
                state.pending = ByteBuffer()
                state.bytesInFlight = 0
                handler = state.onCancel
            }
            state.onCancel = nil
            state.onDrain = nil
            defer { state.reader = nil }
            return (state.reader, handler)
        }
        reader?.resume()
        handler?()
    }

    /// Sets a handler that is called, on the reader's task, each time the response has taken all pending bytes;
    /// released at the end, when no writer waits any more.
    func onDrain(_ handler: @escaping @Sendable () -> Void) {
        state.withLock { if case .open = $0.closing { $0.onDrain = handler } }
    }

    /// Sets a handler that is called once when the client disconnects before the end; at once if it already has.
    func onCancel(_ handler: @escaping @Sendable () -> Void) {
        let isCancelled = state.withLock { state in
            switch state.closing {
            case .open: state.onCancel = handler
            case .finished, .broken: break
            case .cancelled: return true
            }
            return false
        }
        if isCancelled { handler() }
    }

    /// All pending bytes, as soon as there are some; nil at the end. The bytes returned before count as written from
    /// now on.
    func next() async -> ByteBuffer? {
        while true {
            let (bytes, isOver, drained) = state.withLock {
                state -> (ByteBuffer?, Bool, (@Sendable () -> Void)?) in
                state.bytesInFlight = 0
                if state.pending.readableBytes > 0 {
                    let bytes = state.pending
                    state.pending = ByteBuffer()
                    state.bytesInFlight = bytes.readableBytes
                    return (bytes, false, state.onDrain)
                }
                if case .open = state.closing { return (nil, false, state.onDrain) }
                return (nil, true, nil)
            }
            drained?()
            if let bytes { return bytes }
            if isOver { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if case .open = state.closing, state.pending.readableBytes == 0 {
                        state.reader = continuation
                        return false
                    }
                    return true
                }
                if isReady { continuation.resume() }
            }
        }
    }
}

/// Writes a query's messages as lines of an HTTP response (NDJSON).
final class LineOutput: QueryOutput {
    let pipe = ResponsePipe()
    private let maxQueuedBytes: Int

    init(maxQueuedBytes: Int) { self.maxQueuedBytes = maxQueuedBytes }

    func send(event json: [UInt8]) { json.withUnsafeBytes { send($0) } }
    func send(rows json: UnsafeRawBufferPointer) { send(json) }
    var isWritable: Bool { pipe.queuedBytes < maxQueuedBytes }
    func finish() { pipe.finish() }

    private func send(_ json: UnsafeRawBufferPointer) {
        var line = ByteBuffer()
        line.reserveCapacity(json.count + 1)
        line.writeBytes(json)
        line.writeInteger(UInt8(ascii: "\n"))
        pipe.write(line)
    }
}
