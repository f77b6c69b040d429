import NIOCore
import WireProtocol

/// Something that happens to the clients of a shard, in the hub's one order.
enum QueueItem: Sendable {
    case publication(Delivery)
    case message(EncodedMessage, to: Audience)
    case direct(DirectMessage, to: ClientID)
    case change(ClientChange, of: ClientID)
    /// The epoch ended: every subscription to tables goes on at the beginning of a new one.
    case reset(EpochNotice)
    case closeEveryone(CloseCode, reason: String)

    /// Who gets a message.
    enum Audience: Sendable {
        case everyone(except: ClientID?)
        /// With what restricted clients get instead; nil where they get the same.
        case channel(WireProtocol.Channel, except: ClientID?, restricted: RestrictedMessage?)
        case topic(Topic)
    }

    /// What counts towards the limit of what is pending.
    var byteCount: Int {
        switch self {
        case .publication(let delivery): delivery.publication.byteCount
        case .message(let message, _): message.json.readableBytes
        case .direct(let direct, _): direct.message.json.readableBytes
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
            case .topic: nil
            }
        case .direct(_, let client), .change(_, let client): client
        }
    }
}

/// A message to one client.
struct DirectMessage: Sendable {
    var message: EncodedMessage
    /// Only while a subscription of the client waits for this snapshot.
    var hold: History.Pin?
    /// The subscription that ends with the message.
    var ended: String?
    var whenTaken: WhenTaken?
}

/// Called on the client's event loop: with true when the client can take more, with false when the message will not be
/// written.
package typealias WhenTaken = @Sendable (Bool) -> Void

/// A change of one client, at its place in the order of everything that is published.
enum ClientChange: Sendable {
    case open(Channels, greeting: [EncodedMessage])
    case subscribe(WireProtocol.Channel, replyTo: String?, then: [EncodedMessage])
    case subscribeToTables(SubscriptionChange)
    case unsubscribe(WireProtocol.Channel, replyTo: String?)
    /// From one subscription, by its id.
    case unsubscribeFromTables(String, replyTo: String?)
    case join(Topic)
    case leave(Topic)
    /// What a replay waited for was published.
    case goOn(History.Pin)
    /// A replay is complete up to here.
    case goLive(History.Pin)
    /// A snapshot is complete, which the message says; what came after it follows. With the newest transaction at this place
    /// in the order.
    case release(History.Pin, EncodedMessage, after: Position, head: Position)
    /// A snapshot failed.
    case abandon(History.Pin, replyTo: String?)
    case close(CloseCode, reason: String)
}
