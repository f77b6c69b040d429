/// The readers: which read each of them runs, and which waiting reads may use an idle one.
///
/// Its decisions take time proportional to the number of readers, and not of the queries that wait.
struct ReaderPool {
    /// Reads that run at the same time.
    private let readerCount: Int
    private let workerCount: Int
    private var idle: [Int]
    /// The current query of each busy reader.
    private var reading: [Int: Ticket] = [:]
    /// Reads that sleep for their receivers. They use no processor, so others may run in their place.
    private var paused: Set<UInt64> = []

    /// - Parameters:
    ///   - readerCount: reads that run at the same time.
    ///   - spareReaders: additional workers, for when reads sleep.
    init(readerCount: Int, spareReaders: Int) {
        self.readerCount = readerCount
        workerCount = readerCount + spareReaders
        idle = Array((0..<workerCount).reversed())
    }

    var hasIdle: Bool { !idle.isEmpty }

    /// One reader always remains for other identities.
    private var maxOfClient: Int { max(readerCount - 1, 1) }

    /// Whether a read of the share may run now.
    func mayServe(_ share: QueueShare) -> Bool {
        var activeCount = 0
        var activeOfShare = 0
        var ofShare = 0
        for ticket in reading.values {
            let isOfShare = ticket.share == share
            if isOfShare { ofShare += 1 }
            if paused.contains(ticket.id) { continue }
            activeCount += 1
            if isOfShare { activeOfShare += 1 }
        }
        // Enough workers remain for others, however many reads of this share sleep.
        guard ofShare < max(workerCount - readerCount, maxOfClient) else { return false }
        // An identity without a running read does not wait for the reads of others: a spare worker takes it.
        return activeCount < readerCount || share.isOfIdentity && activeOfShare == 0
    }

    /// Whether a read of the client may run now, as far as the client's other reads determine it.
    func mayServe(_ client: ClientKey) -> Bool {
        reading.values.count { $0.client == client && !paused.contains($0.id) } < maxOfClient
    }

    /// An idle reader runs the query from now on; nil when there is none.
    mutating func start(_ ticket: Ticket) -> Int? {
        guard let reader = idle.popLast() else { return nil }
        reading[reader] = ticket
        return reader
    }

    mutating func release(_ reader: Int) {
        reading[reader] = nil
        idle.append(reader)
    }

    mutating func pause(_ id: UInt64) { paused.insert(id) }
    mutating func resume(_ id: UInt64) { paused.remove(id) }
}
