import NIOCore
import WireProtocol

/// What a client gets at its own pace: replays, and what is made for it alone.
extension Shard {
    /// Goes on with what waits for a client to read: notifies those that wait to send more, and sends the next part of a replay.
    func canTakeMore(_ client: Client) {
        guard !client.isGone, client.outlet.queuedBytes <= limits.resumeQueuedBytes else { return }
        let waiting = client.waiting
        client.waiting = []
        for whenTaken in waiting { whenTaken(true) }
        replay(to: client)
    }

    /// Sends the next part of the history, one in each turn of the event loop, so that others are served in between.
    private func replay(to client: Client) {
        guard let catchUp = client.tables.catchUp, catchUp.progress == .running, !client.isReplaying else { return }
        let furthest = client.tables.furthest
        let count = client.tables.entries.count
        let (step, woken) = sequencer.withLock { sequencer in
            sequencer.replay(
                client.id,
                catchUp.pin,
                after: catchUp.after,
                furthest: furthest,
                subscriptionCount: count
            )
        }
        if !woken.isEmpty { wakeLater() }
        switch step {
        case .send(let publications, let reached, let end):
            client.isReplaying = true
            let messages = client.tables.replay(publications, reached: reached, end)
            var frames = FrameSequence(representation: client.outlet.representation)
            for message in messages { frames.append(message) }
            if let bytes = frames.joined { write(bytes, to: client) }
            if case .more = end, !client.isGone { continueLater(client) } else { client.isReplaying = false }
        case .otherEpoch:
            // A reset is in the queue and makes the client live.
            break
        case .lost:
            closeAsTooSlow(client, "more was committed than is kept for a client that catches up")
        }
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
