import NIOCore
import WireProtocol

/// Something that happens to the clients of a shard, in the hub's one order.
enum QueueItem: Sendable {
    case publication(Delivery)
    case message(EncodedMessage, to: Audience)
    /// With a pin, only while the client's subscription waits for that snapshot.
    case direct(EncodedMessage, to: ClientID, under: History.Pin?, whenTaken: WhenTaken?)
    case change(ClientChange, of: ClientID)
    /// The epoch ended; the message tells whoever listens to tables.
    case reset(EncodedMessage)
    case closeEveryone(CloseCode, reason: String)

    /// Who gets a message.
    enum Audience: Sendable {
        case everyone(except: ClientID?)
        /// With what restricted clients get instead; nil where they get the same.
        case channel(WireProtocol.Channel, except: ClientID?, restricted: RestrictedMessage?)
    }

    /// What counts towards the limit of what is pending.
    var byteCount: Int {
        switch self {
        case .publication(let delivery): delivery.publication.byteCount
        case .message(let message, _), .direct(let message, _, _, _): message.json.readableBytes
        case .change, .reset, .closeEveryone: 0
        }
    }

    /// The one client that must be looked at by itself.
    var client: ClientID? {
        switch self {
        case .publication, .reset, .closeEveryone: nil
        case .message(_, let audience):
            switch audience {
            case .everyone(let excluded), .channel(_, let excluded, _): excluded
            }
        case .direct(_, let client, _, _), .change(_, let client): client
        }
    }
}

/// Called on the client's event loop: with true when the client can take more, with false when the message will not be
/// written.
package typealias WhenTaken = @Sendable (Bool) -> Void

/// A change of one client, at its place in the order of everything that is published.
enum ClientChange: Sendable {
    case open(Channels, greeting: [EncodedMessage])
    case subscribe(WireProtocol.Channel, replyTo: String?, then: [EncodedMessage])
    case subscribeToTables(TableFilter, TablesStart, replyTo: String?, then: [EncodedMessage])
    case unsubscribe(WireProtocol.Channel, replyTo: String?)
    /// A replay is complete up to here.
    case goLive(History.Pin)
    /// A snapshot is complete; what came after it follows.
    case release(History.Pin, after: Position)
    /// A snapshot failed.
    case abandon(History.Pin, replyTo: String?)
    case close(CloseCode, reason: String)
}

/// Where a subscription to tables begins.
enum TablesStart: Sendable {
    /// With what comes next; `recovered` is false when the client asked for more than there is.
    case live(after: Position, recovered: Bool?)
    /// With a replay of what came after the position.
    case replay(History.Pin, after: Position)
    /// When a snapshot has been sent.
    case held(History.Pin)
}

extension TablesStart {
    var pin: History.Pin? {
        switch self {
        case .live: nil
        case .replay(let pin, _), .held(let pin): pin
        }
    }
}
