import NIOCore
import WireProtocol

/// The latest transactions, for clients that resume: limited in bytes, count and age. A value without locks or clocks.
struct History {
    /// Identifies a client that needs transactions to be kept.
    typealias Retention = UInt64

    private struct Entry {
        let publication: any Publication
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
    /// For each pin, the transaction after which everything must be kept.
    private var pins: [Retention: UInt64] = [:]
    /// The lowest of ``pins``.
    private var lowestPin = UInt64.max

    init(start: Position, limits: HistoryLimits) {
        self.limits = limits
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
            let isPinned = first.publication.position.sequence > lowestPin
            guard !isPinned || byteCount > limits.maxBytes + limits.maxPinnedBytes else { return }
            entries.removeFirst()
            byteCount -= first.byteCount
            evictedThrough = first.publication.position.sequence
        }
    }

    /// Whether every transaction after `position` is known and kept. False for a position of another epoch, or in the
    /// future.
    func isComplete(after position: Position) -> Bool {
        position.epoch == head.epoch && (evictedThrough...head.sequence).contains(position.sequence)
    }

    /// Consecutive transactions.
    struct Slice {
        var publications: [any Publication]
        /// Whether the slice ends with the newest transaction.
        var reachesHead: Bool
    }

    /// The transactions after `position` up to `maxBytes`, at least one if there is one; nil when some are no longer
    /// kept.
    func slice(after position: Position, maxBytes: Int) -> Slice? {
        guard isComplete(after: position) else { return nil }
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
    mutating func reset(to start: Position) {
        self = History(start: start, limits: limits)
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
