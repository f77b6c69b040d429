import NIOCore
import WireProtocol

/// The latest transactions, for clients that resume: limited in bytes, count and age. A value without locks or clocks.
struct History {
    /// Identifies a client that needs transactions to be kept.
    typealias Retention = UInt64

    private struct Entry {
        var publication: any Publication
        let byteCount: Int
        let appended: NIODeadline
    }

    private let limits: HistoryLimits
    private var entries = CircularBuffer<Entry>()
    private(set) var byteCount = 0
    /// The newest transaction.
    private(set) var head: Position
    /// The newest transaction that is no longer kept, or the position at the start.
    private var evictedThrough: UInt64
    /// Keeps transactions longer; nil for none.
    private let archive: (any HistoryArchive)?
    /// The epochs of positions that earlier processes published, each with the last sequence that is valid in it: they name the
    /// same transactions as the epoch of ``head``.
    private(set) var earlierEpochs: [String: UInt64]
    /// For each pin, the transaction after which everything must be kept.
    private var pins: [Retention: UInt64] = [:]
    /// The lowest of ``pins``.
    private var lowestPin = UInt64.max

    init(
        start: Position,
        limits: HistoryLimits,
        archive: (any HistoryArchive)? = nil,
        earlierEpochs: [String: UInt64] = [:]
    ) {
        self.limits = limits
        self.archive = archive
        self.earlierEpochs = earlierEpochs
        head = start
        evictedThrough = start.sequence
    }

    var count: Int { entries.count }

    /// Precondition: the publication comes after ``head``.
    mutating func append(_ publication: any Publication, now: NIODeadline) {
        let position = publication.position
        precondition(
            head.isBefore(position) == true,
            "transactions are published in order: \(position) came after \(head)"
        )
        head = position
        let entry = Entry(publication: publication, byteCount: publication.byteCount, appended: now)
        entries.append(entry)
        byteCount += entry.byteCount
        trim(now: now)
    }

    /// Drops the transactions beyond a limit. Pinned transactions stay, up to a limit of their own.
    mutating func trim(now: NIODeadline) {
        let oldest = now - .nanoseconds(limits.maxAge.nanoseconds)
        while let first = entries.first {
            let isBeyond =
                byteCount > limits.maxBytes || entries.count > limits.maxTransactions || first.appended < oldest
            guard isBeyond else { return }
            let sequence = first.publication.position.sequence
            // What the archive has need not stay here.
            let isPinned = sequence > lowestPin && !isArchived(after: sequence - 1)
            guard !isPinned || byteCount > limits.maxBytes + limits.maxPinnedBytes else { return }
            entries.removeFirst()
            byteCount -= first.byteCount
            evictedThrough = sequence
        }
    }

    /// The same run of transactions goes on under another epoch, as after a restart of the source: positions of the current
    /// epoch stay valid.
    ///
    /// - Parameter earlier: all other epochs of the run, each with its last sequence; nil when they are not known yet.
    mutating func rename(to epoch: String, earlier: [String: UInt64]? = nil) {
        if epoch != head.epoch {
            earlierEpochs[head.epoch] = head.sequence
            head = Position(epoch: epoch, sequence: head.sequence)
            for index in entries.indices {
                entries[index].publication = entries[index].publication.renamed(to: epoch)
            }
        }
        if let earlier { earlierEpochs = earlier }
        earlierEpochs[epoch] = nil
    }

    /// The position in the epoch of ``head`` that a client means: one of an earlier process is translated, unless it is beyond the
    /// last that is known of it.
    func resolve(_ position: Position) -> Position {
        guard let last = earlierEpochs[position.epoch], position.sequence <= last else { return position }
        return Position(epoch: head.epoch, sequence: position.sequence)
    }

    /// Whether every transaction after `position` is known and kept, here or in the archive. False for a position of another
    /// epoch, or in the future.
    func isComplete(after position: Position) -> Bool {
        isInMemory(after: position) || archivedPart(after: position) != nil
    }

    /// Why a client cannot continue after `position`; nil when it can.
    func resumeFailure(after position: Position) -> ResumeFailure? {
        let isOfEarlierEpoch = earlierEpochs[position.epoch] != nil
        let resolved = resolve(position)
        guard resolved.epoch == head.epoch else { return isOfEarlierEpoch ? .beyondEnd : .otherEpoch }
        guard resolved.sequence <= head.sequence else { return .beyondEnd }
        return isComplete(after: resolved) ? nil : .notKept
    }

    private func isInMemory(after position: Position) -> Bool {
        position.epoch == head.epoch && (evictedThrough...head.sequence).contains(position.sequence)
    }

    /// The last transaction that only the archive has, if all after `position` up to it are there; nil otherwise.
    func archivedPart(after position: Position) -> UInt64? {
        guard position.epoch == head.epoch, position.sequence < evictedThrough, isArchived(after: position.sequence)
        else { return nil }
        return evictedThrough
    }

    private func isArchived(after sequence: UInt64) -> Bool {
        archive?.base.map { $0 <= sequence } ?? false
    }

    /// Consecutive transactions.
    struct Slice {
        var publications: [any Publication]
        /// Whether the slice ends with the newest transaction.
        var reachesHead: Bool
    }

    /// The transactions after `position` up to `maxBytes`, at least one if there is one; nil when some are no longer
    /// in memory.
    func slice(after position: Position, maxBytes: Int) -> Slice? {
        guard isInMemory(after: position) else { return nil }
        var publications: [any Publication] = []
        var bytes = 0
        var index = firstIndex(after: position.sequence)
        while index < entries.endIndex, bytes < maxBytes {
            publications.append(entries[index].publication)
            bytes += entries[index].byteCount
            index = entries.index(after: index)
        }
        return Slice(publications: publications, reachesHead: index == entries.endIndex)
    }

    private func firstIndex(after sequence: UInt64) -> CircularBuffer<Entry>.Index {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let index = entries.index(entries.startIndex, offsetBy: middle)
            if entries[index].publication.position.sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return entries.index(entries.startIndex, offsetBy: low)
    }

    // MARK: Pins

    /// Keeps the transactions after `sequence`, until ``unpin(_:)``. Pinning again moves the pin.
    mutating func pin(_ pin: Retention, after sequence: UInt64) {
        pins[pin] = sequence
        lowestPin = pins.values.min() ?? .max
    }

    mutating func unpin(_ pin: Retention) {
        guard pins.removeValue(forKey: pin) != nil else { return }
        lowestPin = pins.values.min() ?? .max
    }

    func isPinned(_ pin: Retention) -> Bool { pins[pin] != nil }

    /// Begins a new epoch without transactions; the pins of the old one are removed.
    ///
    /// - Parameter earlierEpochs: other epochs of positions in it, each with its last sequence.
    mutating func reset(to start: Position, earlierEpochs: [String: UInt64] = [:]) {
        self = History(start: start, limits: limits, archive: archive, earlierEpochs: earlierEpochs)
    }
}

extension Duration {
    /// Clamped to 64 bits: 292 years.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowSum) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || overflowSum ? (seconds < 0 ? .min : .max) : sum
    }
}
