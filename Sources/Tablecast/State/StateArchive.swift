import Broadcast
import NIOPosix
import StateStore
import Synchronization
import WireProtocol

/// Reads the transactions on disk for clients that resume from before the history in memory.
final class StateArchive: HistoryArchive {
    /// Reading blocks: never on an event loop.
    private static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        return pool
    }()

    private let keeper: StateKeeper
    private let databaseName: String
    private let rowFilters: RowFilters
    /// A transaction that should be there could not be read: clients must not be sent there again.
    private let isUnreadable = Atomic<Bool>(false)

    init(_ keeper: StateKeeper, databaseName: String, rowFilters: RowFilters) {
        self.keeper = keeper
        self.databaseName = databaseName
        self.rowFilters = rowFilters
    }

    var base: UInt64? { isUnreadable.load(ordering: .relaxed) ? nil : keeper.base }

    func load(
        after position: Position,
        through last: UInt64,
        maxBytes: Int,
        _ done: @escaping @Sendable ([any Publication]?) -> Void
    ) {
        Self.threads.submit { [self] _ in done(read(after: position, through: last, maxBytes: maxBytes)) }
    }

    private func read(after position: Position, through last: UInt64, maxBytes: Int) -> [any Publication]? {
        let stored = keeper.transactions(after: position.sequence, maxBytes: maxBytes)
        // Afterwards: what was read belongs to this epoch if no other one has begun.
        guard keeper.epoch == position.epoch else { return nil }
        var published = keeper.published
        let publications = stored?.filter { $0.record.sequence <= last }.compactMap { stored in
            StoredPublication(
                stored,
                position: position.at(stored.record.sequence),
                firstPosition: published.position(of: stored.record.sequence),
                databaseName: databaseName,
                rowFilters: rowFilters
            )
        }
        guard let publications, publications.count == stored?.count(where: { $0.record.sequence <= last }),
            !publications.isEmpty
        else {
            // Old transactions may have been removed meanwhile; everything else is damage.
            if let base = keeper.base, base <= position.sequence { isUnreadable.store(true, ordering: .relaxed) }
            return nil
        }
        return publications
    }
}
