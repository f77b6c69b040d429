import Broadcast
import NIOCore
import WireProtocol

/// What a hub ought to do, told in the simplest way: each call has its whole effect at once, for each client in turn.
struct HubModel {
    /// What a client is to get next.
    enum Expectation {
        case text(String)
        /// The acknowledgement of a subscription with `since`: with the replay, or without, as the history allows.
        case recovery(since: Position, head: Position, replay: [String], isCertain: Bool?)
    }

    struct Client {
        var channels: Channels = [.notifications]
        var filter: TableFilter?
        /// Live from here on; transactions before are in its snapshot.
        var after: UInt64 = 0
        var isHeld = false
        /// Something may still be on its way at the client's own pace, which the model does not know.
        var mayBeReplaying = false
        var hasReplayed = false
        var expected: [Expectation] = []

        func listens(to channel: WireProtocol.Channel) -> Bool { channels.contains(Channels(channel)) }
    }

    /// How many transactions the history keeps at least.
    let kept: Int
    var clients: [ClientID: Client] = [:]
    private(set) var epoch = "e0"
    private(set) var publications: [TestPublication] = []

    init(kept: Int) { self.kept = kept }

    var head: Position { Position(epoch: epoch, sequence: UInt64(publications.count)) }

    mutating func publish(tables: [String]) -> TestPublication {
        let publication = TestPublication(position: head.next, tables: tables)
        publications.append(publication)
        for (id, client) in clients {
            guard let filter = client.filter, !client.isHeld, publication.position.sequence > client.after else {
                continue
            }
            expect(publication.texts(for: filter), id)
        }
        return publication
    }

    mutating func send(_ text: String, to listens: (ClientID, Client) -> Bool) {
        for (id, client) in clients where listens(id, client) { expect([text], id) }
    }

    mutating func subscribe(_ id: ClientID, _ request: SubscribeRequest) {
        guard request.channel == .tables else {
            clients[id]?.channels.insert(Channels(request.channel))
            return expect(["subscribed \(request.channel)"], id)
        }
        clients[id]?.filter = request.filter
        clients[id]?.isHeld = false
        guard let since = request.since else {
            // A snapshot that is ahead of what was published stays so.
            let sequence = max(head.sequence, clients[id]?.after ?? 0)
            return expect(["subscribed tables \(Position(epoch: epoch, sequence: sequence))"], id)
        }
        clients[id]?.after = 0
        let isPossible = since.epoch == epoch && since.sequence <= head.sequence
        let isKept = isPossible && Int(head.sequence - since.sequence) <= kept
        let replay = isPossible ? texts(after: since.sequence, request.filter) : []
        let certainty: Bool? = isKept ? true : isPossible ? nil : false
        let recovery = Expectation.recovery(since: since, head: head, replay: replay, isCertain: certainty)
        clients[id]?.expected.append(recovery)
        clients[id]?.mayBeReplaying = true
        clients[id]?.hasReplayed = true
    }

    mutating func unsubscribe(_ id: ClientID, from channel: WireProtocol.Channel) {
        if channel == .tables {
            clients[id]?.filter = nil
            clients[id]?.isHeld = false
            clients[id]?.after = 0
        } else {
            clients[id]?.channels.remove(Channels(channel))
        }
        expect(["unsubscribed \(channel)"], id)
    }

    mutating func hold(_ id: ClientID, _ filter: TableFilter) {
        clients[id]?.filter = filter
        clients[id]?.isHeld = true
        clients[id]?.hasReplayed = true
    }

    mutating func release(_ id: ClientID, after sequence: UInt64) {
        guard let client = clients[id], client.isHeld, let filter = client.filter else { return }
        clients[id]?.isHeld = false
        clients[id]?.after = sequence
        clients[id]?.mayBeReplaying = true
        expect(texts(after: sequence, filter), id)
    }

    mutating func reset() {
        epoch = "e\(Int(epoch.dropFirst()).map { $0 + 1 } ?? 0)"
        publications = []
        for (id, client) in clients where client.filter != nil {
            clients[id]?.isHeld = false
            clients[id]?.after = 0
            expect(["subscribed tables \(head) false"], id)
        }
    }

    private func texts(after sequence: UInt64, _ filter: TableFilter) -> [String] {
        publications.dropFirst(Int(sequence)).flatMap { $0.texts(for: filter) }
    }

    mutating func expect(_ texts: [String], _ id: ClientID) {
        clients[id]?.expected += texts.map(Expectation.text)
    }
}

extension HubModel.Client {
    /// Everything that was to come, where what came says how each recovery ended; nil when one ended wrongly.
    func resolved(by received: [String]) -> [String]? {
        var answers = received.filter { $0.hasPrefix("subscribed") && ($0.hasSuffix("true") || $0.hasSuffix("false")) }[
            ...
        ]
        var texts: [String] = []
        for expectation in expected {
            switch expectation {
            case .text(let text):
                if text.hasPrefix("subscribed"), text.hasSuffix("false") { answers = answers.dropFirst() }
                texts.append(text)
            case .recovery(let since, let head, let replay, let isCertain):
                let yes = "subscribed tables \(since) true"
                let no = "subscribed tables \(head) false"
                // A connection that was closed has not got its answer.
                guard let answer = answers.popFirst() ?? (isCertain == false ? no : yes) as String? else { return nil }
                if answer == yes, isCertain != false {
                    texts += [yes] + replay
                } else if answer == no, isCertain != true {
                    texts.append(no)
                } else {
                    return nil
                }
            }
        }
        return texts
    }
}
