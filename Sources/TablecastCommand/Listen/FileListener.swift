import ChangeCapture
import Tablecast
import WireProtocol

/// Watches a database file directly, without a server.
struct FileListener: Sendable {
    let path: String
    let filter: TableFilter
    let output: ListenOutput

    func run() async throws {
        let watcher = try open()
        let rowFilters = RowFilters()
        rowFilters.load(from: path)
        do throws(ProtocolError) {
            try rowFilters.check(filter)
        } catch {
            throw CommandFailure(.failure, error.message)
        }
        output.note("watching \(path)")
        var position = Position.beforeFirst()
        do {
            for try await event in watcher.events {
                switch event {
                case .transaction(let transaction):
                    position = position.next
                    rowFilters.note(transaction.changes)
                    guard try print(transaction.changes, at: position, rowFilters) else { return }
                case .epochChanged(let reason):
                    position = .beforeFirst()
                    rowFilters.load(from: path)
                    output.warn("changes may have been missed: \(reason)")
                case .databaseGone(let reason): output.warn("the database cannot be used: \(reason)")
                case .databaseBack: output.note("the database is back")
                case .notice(let text): output.note(text)
                }
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
    }

    private func open() throws -> FileWatcher {
        guard path != InMemoryDatabase.name else {
            throw CommandFailure(
                .usage,
                "a database in memory can be watched only through its server",
                advice: "Pass the server's address, such as ws://127.0.0.1:3001."
            )
        }
        guard try DatabasePath(path).inspect(writable: false) != .missing else {
            throw CommandFailure(
                .noInput,
                "no such file: '\(path)'",
                advice: "To connect to a server, pass its address as ws://host:port."
            )
        }
        do {
            return try FileWatcher(path: path)
        } catch {
            throw CommandFailure(error, path: path)
        }
    }

    /// Returns false when the reader of the output has disconnected.
    private func print(_ changes: ChangeSet, at position: Position, _ rowFilters: RowFilters) throws -> Bool {
        let messages = changes.messages(
            for: filter,
            at: position,
            timestamp: UnixTime.milliseconds,
            context: TableEventContext(database: path, origin: .external),
            rowFilters: rowFilters
        )
        for json in messages {
            guard try output.print(Envelope(parsing: json), String(decoding: json, as: UTF8.self)) else { return false }
        }
        return true
    }
}

extension Position {
    /// The position at the start of a new epoch.
    fileprivate static func beforeFirst() -> Position {
        Position(epoch: String(UInt64.random(in: .min ... .max), radix: 36), sequence: 0)
    }
}
