import Synchronization

/// Bytes of rows that one client was sent and has not been able to take, over all the queries it runs. Thread-safe.
final class UntakenRows: Sendable {
    /// Beyond it all of them wait. Each can add the batch that it is making, and all of that is far below what a connection
    /// may have waiting before it is closed as too slow.
    static let maxBytes = 512 << 10

    private struct State {
        var bytes = 0
        /// Those that are not over.
        var outputs: [ObjectIdentifier: ClientQueryOutput] = [:]
    }

    private let state = Mutex(State())

    var isBelowLimit: Bool { state.withLock { $0.bytes < Self.maxBytes } }

    func add(_ output: ClientQueryOutput) { state.withLock { $0.outputs[ObjectIdentifier(output)] = output } }
    func remove(_ output: ClientQueryOutput) { state.withLock { $0.outputs[ObjectIdentifier(output)] = nil } }

    func sent(byteCount: Int) { state.withLock { $0.bytes += byteCount } }

    /// The client took them or is gone: queries that wait go on once there is room, whichever of them sent the rows.
    func taken(byteCount: Int) {
        let waiting = state.withLock { state in
            state.bytes -= byteCount
            return state.bytes < Self.maxBytes ? Array(state.outputs.values) : []
        }
        for output in waiting { output.resume() }
    }
}
