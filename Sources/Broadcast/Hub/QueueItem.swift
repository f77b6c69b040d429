package import NIOCore
package import WireProtocol

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
        case channel(MessageChannel, except: ClientID?, restricted: RestrictedMessage?)
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
    var hold: History.Retention?
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
    case subscribe(MessageChannel, replyTo: String?, then: [EncodedMessage])
    case subscribeToTables(SubscriptionChange)
    case unsubscribe(MessageChannel, replyTo: String?)
    /// From one subscription, by its id.
    case unsubscribeFromTables(String, replyTo: String?)
    case join(Topic)
    case leave(Topic)
    /// What a replay waited for was published.
    case goOn(History.Retention)
    /// A replay is complete up to here.
    case goLive(History.Retention)
    /// A snapshot is complete, which the message says; what came after it follows. With the newest transaction at this place
    /// in the order.
    case release(History.Retention, EncodedMessage, after: Position, head: Position)
    /// A snapshot failed.
    case abandon(History.Retention, replyTo: String?)
    case close(CloseCode, reason: String)
}

/// A connection of a hub; never used twice in one process.
package struct ClientID: Sendable, Hashable {
    /// The shard that the connection belongs to.
    let shard: Int
    package let number: UInt64
}

extension ClientID: CustomStringConvertible {
    package var description: String { "client \(number)" }
}

/// One connection, as the hub sees it: somewhere to put bytes.
///
/// Confined to its event loop: the hub calls it there and nowhere else. It may call ``Hub/disconnect(_:)`` and
/// ``Hub/drained(_:)`` from within these calls.
package protocol OutboundConnection: AnyObject {
    var eventLoop: any EventLoop { get }

    /// How messages are framed for this connection; never changes.
    var frameEncoding: FrameEncoding { get }

    /// What was written and has not been taken by the kernel, in bytes.
    var queuedBytes: Int { get }

    /// Sends whole frames, ready-made, and flushes. The buffer is shared with other connections. Returns ``queuedBytes``
    /// as they are afterwards. Whoever implements this calls ``Hub/drained(_:)`` when all was taken after some of it had
    /// to wait.
    func write(_ frames: ByteBuffer) -> Int

    /// Ends the connection, and drops what waits when the code is ``CloseCode/tooSlow``. Whoever implements this calls
    /// ``Hub/disconnect(_:)`` at the end, then or later; the hub writes nothing after it.
    func close(_ code: CloseCode, reason: String)
}
