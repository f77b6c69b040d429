/// The decompressors of one event loop: a connection borrows one while a compressed message comes in.
///
/// So memory grows with the messages that are under way, not with the connections. Not thread-safe.
final class InflaterPool {
    private var idle: [Inflater] = []
    /// More than these are given back to the system.
    private let maxIdle = 4

    func take() -> Inflater? {
        idle.popLast() ?? Inflater()
    }

    func give(_ inflater: Inflater) {
        guard idle.count < maxIdle else { return }
        inflater.reset()
        idle.append(inflater)
    }
}
