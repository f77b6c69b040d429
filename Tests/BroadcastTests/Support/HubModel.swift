import Broadcast
import NIOCore
import WireProtocol

/// The specification of a hub in its simplest form: each call has its whole effect at once, for each client in turn.
struct HubModel {
    /// What a client is to get next.
    enum Expectation {
        case text(String)
        /// The acknowledgement of a subscription with `since`: with the replay, or without it, depending on the
        /// history.
        case recovery(ids: String, since: Position, head: Position, replay: [String], isCertain: Bool?)
    }

    struct Subscription {
        let subscription: TableSubscription
        /// Receives the transactions after this one; earlier ones are in its snapshot, or were not requested.
        var after: UInt64 = 0
        var isHeld = false
    }

    struct Client {
        var channels: Channels = [.notifications]
        /// In the order of ids.
        var subscriptions: [Subscription] = []
        /// The transaction up to which some subscriptions are behind others.
        var meetingPoint: UInt64?
        /// A message may still be on its way at the client's own pace, which the model does not know.
        var mayBeReplaying = false
        var hasReplayed = false
        var expected: [Expectation] = []

        func listens(to channel: MessageChannel) -> Bool { channels.contains(Channels(channel)) }

        func isAhead(of sequence: UInt64) -> Bool { subscriptions.contains { !$0.isHeld && $0.after > sequence } }

        /// What a transaction comes to.
        mutating func texts(of publication: OraclePublication) -> [String] {
            let sequence = publication.position.sequence
            var texts: [String] = []
            for subscription in subscriptions where !subscription.isHeld && subscription.after < sequence {
                texts += publication.texts(for: subscription.subscription)
            }
            let isMeeting = meetingPoint == sequence
            if isMeeting { meetingPoint = nil }
            if subscriptions.count > 1, !isAhead(of: sequence), isMeeting || !texts.isEmpty {
                texts.append("end \(publication.position)")
            }
            return texts
        }

        /// The subscriptions that have reached `head` wait there for the others.
        mutating func pause(at head: UInt64) {
            for index in subscriptions.indices { subscriptions[index].after = max(subscriptions[index].after, head) }
        }

        mutating func findMeetingPoint(_ head: UInt64) {
            let afters = subscriptions.filter { !$0.isHeld }.map(\.after)
            guard let first = afters.min(), let last = afters.max() else {
                meetingPoint = nil
                return
            }
            meetingPoint = subscriptions.count > 1 && first < last ? last : nil
        }

        mutating func add(_ new: [Subscription]) {
            subscriptions.removeAll { old in new.contains { $0.subscription == old.subscription } }
            subscriptions = (subscriptions + new).sorted { $0.subscription.id < $1.subscription.id }
        }
    }

    /// The minimum number of transactions that the history keeps.
    let kept: Int
    var clients: [ClientID: Client] = [:]
    private(set) var epoch = "e0"
    private(set) var publications: [OraclePublication] = []

    init(kept: Int) { self.kept = kept }

    var head: Position { Position(epoch: epoch, sequence: UInt64(publications.count)) }

    mutating func publish(tables: [String]) -> OraclePublication {
        let publication = OraclePublication(position: head.next, tables: tables)
        publications.append(publication)
        for id in clients.keys {
            if let texts = clients[id]?.texts(of: publication) { expect(texts, id) }
        }
        return publication
    }

    mutating func send(_ text: String, to listens: (ClientID, Client) -> Bool) {
        for (id, client) in clients where listens(id, client) { expect([text], id) }
    }

    mutating func subscribe(_ id: ClientID, to channel: MessageChannel) {
        clients[id]?.channels.insert(Channels(channel))
        expect(["subscribed \(channel)"], id)
    }

    /// - Parameters:
    ///   - list: as requested.
    ///   - new: the same, each once.
    mutating func subscribe(
        _ id: ClientID,
        to list: [TableSubscription],
        _ new: [TableSubscription],
        since: Position?,
        replacing replaced: String?
    ) {
        let ids = list.map(\.id).joined(separator: ",")
        let head = head
        clients[id]?.subscriptions.removeAll { $0.subscription.id == replaced }
        clients[id]?.pause(at: head.sequence)
        guard let since else {
            clients[id]?.add(new.map { Subscription(subscription: $0, after: head.sequence) })
            clients[id]?.findMeetingPoint(head.sequence)
            return expect(["subscribed tables \(ids) \(head)"], id)
        }
        let isPossible = since.epoch == epoch && since.sequence <= head.sequence
        let isKept = isPossible && Int(head.sequence - since.sequence) <= kept
        let begin = isPossible ? since.sequence : head.sequence
        clients[id]?.add(new.map { Subscription(subscription: $0, after: begin) })
        clients[id]?.findMeetingPoint(head.sequence)
        let replay = catchUp(id, after: begin)
        let certainty: Bool? = isKept ? true : isPossible ? nil : false
        clients[id]?.expected.append(
            .recovery(ids: ids, since: since, head: head, replay: replay, isCertain: certainty)
        )
    }

    /// Ends one of a client's subscriptions, or all.
    mutating func unsubscribe(_ id: ClientID, from subscription: String?) {
        let head = head
        clients[id]?.subscriptions.removeAll { subscription == nil || $0.subscription.id == subscription }
        clients[id]?.findMeetingPoint(head.sequence)
        expect(["unsubscribed tables\(subscription.map { " \($0)" } ?? "")"], id)
    }

    mutating func unsubscribe(_ id: ClientID, from channel: MessageChannel) {
        clients[id]?.channels.remove(Channels(channel))
        expect(["unsubscribed \(channel)"], id)
    }

    mutating func hold(_ id: ClientID, _ subscription: TableSubscription) {
        clients[id]?.add([Subscription(subscription: subscription, isHeld: true)])
        clients[id]?.hasReplayed = true
    }

    /// The snapshot is acknowledged: the subscription that it replaces ends.
    mutating func acknowledge(_ id: ClientID, _ text: String, ending replaced: String?) {
        clients[id]?.subscriptions.removeAll { $0.subscription.id == replaced }
        expect([text], id)
    }

    mutating func release(_ id: ClientID, _ subscription: TableSubscription, after sequence: UInt64) {
        let head = head
        clients[id]?.pause(at: head.sequence)
        clients[id]?.add([Subscription(subscription: subscription, after: sequence)])
        clients[id]?.findMeetingPoint(head.sequence)
        expect(catchUp(id, after: sequence), id)
    }

    mutating func reset() {
        epoch = "e\(Int(epoch.dropFirst()).map { $0 + 1 } ?? 0)"
        publications = []
        for (id, client) in clients {
            clients[id]?.meetingPoint = nil
            for (index, subscription) in client.subscriptions.enumerated() {
                clients[id]?.subscriptions[index].isHeld = false
                clients[id]?.subscriptions[index].after = 0
                expect(["subscribed tables \(subscription.subscription.id) \(head) false"], id)
            }
        }
    }

    /// The transactions for the client's subscriptions that are behind, up to the newest one.
    private mutating func catchUp(_ id: ClientID, after sequence: UInt64) -> [String] {
        clients[id]?.mayBeReplaying = true
        clients[id]?.hasReplayed = true
        return publications.dropFirst(Int(sequence)).flatMap { clients[id]?.texts(of: $0) ?? [] }
    }

    mutating func expect(_ texts: [String], _ id: ClientID) {
        clients[id]?.expected += texts.map(Expectation.text)
    }
}

extension HubModel.Client {
    /// All expected messages, given how each recovery ended according to the received ones; nil when one ended wrongly.
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
            case .recovery(let ids, let since, let head, let replay, let isCertain):
                let yes = "subscribed tables \(ids) \(since) true"
                let no = "subscribed tables \(ids) \(head) false"
                // A closed connection has not received its reply.
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

/// Concerns some tables, and has messages for each subscription.
struct OraclePublication: Publication, PublicationEncoder {
    let position: Position
    let tables: [String]
    let byteCount = 100
    let timestamp: Int64 = 0

    func encoder() -> any PublicationEncoder { self }

    func messages(for subscription: TableSubscription) -> [EncodedMessage] {
        texts(for: subscription).map { EncodedMessage($0) }
    }

    func texts(for subscription: TableSubscription) -> [String] {
        tables.filter { subscription.filter.includes(table: $0) }.map { "\(position) \($0) \(subscription.id)" }
    }
}
