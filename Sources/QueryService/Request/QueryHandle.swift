import SQLiteConnection

/// A submitted query, to be cancelled or woken from any thread. Keeping it keeps the query's sink.
package struct QueryHandle: Sendable {
    let control: QueryControl

    package var queryId: String { control.request.queryId }

    /// The sink is writable again; a query that sleeps because it was not asks it and goes on. Never blocks.
    package func resume() { control.parker.wake() }
}
