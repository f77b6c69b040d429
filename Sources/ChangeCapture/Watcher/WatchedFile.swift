import SQLiteConnection

/// A file that was opened to be watched, and where what is found in it goes.
struct WatchedFile {
    let path: String
    let file: DatabaseFile
    /// Of what the path named when it was opened.
    let identity: FileIdentity
    let events: FileEvents
    let delivery: CommitDelivery
    let limits: WatcherLimits

    /// The file is in WAL mode, or it has a rollback journal.
    func session(journalMode: String) throws(WatchError) -> any WatchSession {
        journalMode == "wal" ? try WALSession(self) : try RollbackSession(self)
    }
}
