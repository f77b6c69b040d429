import Synchronization
import WireProtocol

/// The HTTP requests of clients that are in progress at the source. Thread-safe.
final class HTTPRequests: Sendable {
    /// At the same time. Each has a connection to the source.
    static let maxRequests = 1_000

    private struct State {
        var tasks: [Int: Task<Void, Never>] = [:]
        var count = 0
    }

    private let state = Mutex(State())

    /// Starts a task that performs one request, and is cancelled when the relay gives its source up.
    ///
    /// `work` must ask for the source itself: a loss before that is then an error, and a later one cancels it.
    ///
    /// - Throws: `TOO_MANY_QUERIES` when too many are in progress.
    func start(_ work: @escaping @Sendable () async -> Void) throws(ProtocolError) -> Task<Void, Never> {
        let started = state.withLock { state -> Task<Void, Never>? in
            guard state.tasks.count < Self.maxRequests else { return nil }
            state.count += 1
            let id = state.count
            let task = Task {
                await work()
                ended(id)
            }
            state.tasks[id] = task
            return task
        }
        guard let started else {
            throw ProtocolError(
                .tooManyQueries,
                "this relay forwards at most \(Self.maxRequests) HTTP requests at the same time; try again"
            )
        }
        return started
    }

    private func ended(_ id: Int) { state.withLock { $0.tasks[id] = nil } }

    func cancelAll() {
        for task in state.withLock({ Array($0.tasks.values) }) { task.cancel() }
    }
}
