/// The callers that wait until the relay has what its source knows, and the requests to the source by which it finds out. A
/// value without I/O.
///
/// The source answers a `relay:check` after everything that it sent before. A caller that came after the request was sent
/// needs another one.
struct SourceChecks {
    typealias Caller = @Sendable () -> Void

    static let maxCallers = 10_000

    private var isConnected = false
    private var lastNumber = 0
    /// The id of the request without an answer.
    private var current: String?
    private var covered: [Caller] = []
    private var waiting: [Caller] = []

    enum Step {
        /// Send a `relay:check` with this id.
        case ask(String)
        case wait
        case refuse
    }

    mutating func add(_ caller: @escaping Caller) -> Step {
        guard covered.count + waiting.count < Self.maxCallers else { return .refuse }
        waiting.append(caller)
        return next()
    }

    /// The relay is connected to the source, and has caught up.
    mutating func connected() -> Step {
        isConnected = true
        return next()
    }

    mutating func disconnected() {
        isConnected = false
        current = nil
        waiting = covered + waiting
        covered = []
    }

    /// Returns the callers whose wait ends.
    mutating func answered(_ id: String) -> (ended: [Caller], next: Step) {
        guard id == current else { return ([], .wait) }
        current = nil
        let ended = covered
        covered = []
        return (ended, next())
    }

    private mutating func next() -> Step {
        guard isConnected, current == nil, !waiting.isEmpty else { return .wait }
        covered = waiting
        waiting = []
        lastNumber += 1
        let id = "check-\(lastNumber)"
        current = id
        return .ask(id)
    }
}
