import NIOCore
import WireProtocol

/// What a client gets at its own pace: replays, and whatever others make for it.
extension Shard {
    /// Goes on with what waits for a client to read: tells who waits to send more, and sends the next part of a replay.
    func canTakeMore(_ client: Client) {
        guard !client.isGone, client.outlet.queuedBytes <= limits.resumeQueuedBytes else { return }
        let waiting = client.waiting
        client.waiting = []
        for whenTaken in waiting { whenTaken(true) }
        replay(to: client)
    }

    /// Sends the next part of the history, one in each turn of the event loop, so that others are served in between.
    private func replay(to client: Client) {
        guard case .replaying(let filter, let pin, let position, false) = client.tables, !client.isReplaying else {
            return
        }
        let (step, woken) = sequencer.withLock { $0.replay(client.id, pin, after: position) }
        if !woken.isEmpty { wakeLater() }
        switch step {
        case .send(let publications, let isLast):
            let reached = publications.last?.position ?? position
            client.tables = .replaying(filter, pin, after: reached, isComplete: isLast)
            client.isReplaying = true
            write(publications, filter, to: client)
            if isLast || client.isGone {
                client.isReplaying = false
            } else {
                continueLater(client)
            }
        case .otherEpoch:
            // A reset is in the queue and makes the client live.
            break
        case .lost:
            closeAsTooSlow(client, "more was committed than is kept for a client that catches up")
        }
    }

    private func write(_ publications: [any Publication], _ filter: TableFilter, to client: Client) {
        var frames = FrameSequence(representation: client.outlet.representation)
        for publication in publications {
            for message in publication.messages(for: filter) { frames.append(message) }
        }
        if let bytes = frames.joined { write(bytes, to: client) }
    }

    private func continueLater(_ client: Client) {
        eventLoop.assumeIsolated().execute {
            client.isReplaying = false
            self.canTakeMore(client)
        }
    }

    /// Other event loops are never woken from here: only the client's own change to live was queued.
    private func wakeLater() {
        eventLoop.assumeIsolated().execute { self.wake() }
    }
}
