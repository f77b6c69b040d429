/// Somebody who wants to read the database as of a transaction that has been delivered, and after which nothing has.
struct ReadRequest: Sendable {
    /// How often a session of a database with a rollback journal tried to grant it.
    var attempts = 0
    /// Called once, on the watcher's thread, at that very moment; or with why it will not come.
    let answer: @Sendable (Result<ReadTransaction, WatchError>) -> Void
}
