import Synchronization

/// The receivers of events in this process, each with a bounded buffer. Thread-safe; publishing never blocks.
final class Observers<Element: Sendable>: Sendable {
    private struct Observer {
        let continuation: AsyncThrowingStream<Element, any Error>.Continuation
        let overflow: any Error
    }

    private struct State {
        var lastID = 0
        var observers: [Int: Observer] = [:]
    }

    private let state = Mutex(State())

    /// - Parameters:
    ///   - maxBuffered: how many elements the reader may fall behind.
    ///   - overflow: the error that ends the stream of a reader that falls behind further: it never skips an element.
    func subscribe(maxBuffered: Int, overflow: any Error) -> AsyncThrowingStream<Element, any Error> {
        let (stream, continuation) = AsyncThrowingStream<Element, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(maxBuffered)
        )
        let id = state.withLock { state in
            state.lastID += 1
            state.observers[state.lastID] = Observer(continuation: continuation, overflow: overflow)
            return state.lastID
        }
        continuation.onTermination = { [weak self] _ in self?.remove(id) }
        return stream
    }

    private func remove(_ id: Int) { state.withLock { _ = $0.observers.removeValue(forKey: id) } }

    private var all: [Observer] {
        state.withLock { state in state.observers.isEmpty ? [] : Array(state.observers.values) }
    }

    /// Returns whether there is any observer; without one the element is not created.
    @discardableResult
    func publish(_ element: @autoclosure () -> Element) -> Bool {
        let observers = all
        if observers.isEmpty { return false }
        let element = element()
        for observer in observers {
            if case .dropped = observer.continuation.yield(element) {
                observer.continuation.finish(throwing: observer.overflow)
            }
        }
        return true
    }

    /// Ends all streams: with the error, or without one at shutdown.
    func finish(_ error: (any Error)?) {
        for observer in all { observer.continuation.finish(throwing: error) }
    }
}
