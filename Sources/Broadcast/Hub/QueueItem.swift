package import NIOCore
package import WireProtocol

/// An event for the clients of a shard, in the hub's one order.
enum QueueItem: Sendable {
    case publication(Delivery)
    case message(EncodedMessage, to: Audience)
    case direct(DirectMessage, to: ClientID)
    case change(ClientChange, of: ClientID)
    /// The epoch ended: every subscription to tables continues at the beginning of a new one.
    case reset(EpochNotice)
    case closeEveryone(CloseCode, reason: String)

    /// The receivers of a message.
    enum Audience: Sendable {
        case everyone(except: ClientID?)
        /// `restricted` is the message for restricted clients; nil when they receive the same.
        case channel(MessageChannel, except: ClientID?, restricted: RestrictedMessage?)
        case topic(Topic)
    }

    /// The bytes that count towards the limit of pending messages.
    var byteCount: Int {
        switch self {
        case .publication(let delivery): delivery.publication.byteCount
        case .message(let message, _): message.json.readableBytes
        case .direct(let direct, _): direct.message.json.readableBytes
        case .change, .reset, .closeEveryone: 0
        }
    }

    /// The client that must be handled individually.
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
    /// Send only while a subscription of the client waits for this snapshot.
    var hold: History.Retention?
    /// The subscription that ends with the message.
    var ended: String?
    /// Send it when no subscription is behind any more.
    var isAfterReplay = false
    var whenTaken: WhenTaken?
}

/// Called on the client's event loop: with true when the client can take more, with false when the message will not be
/// written.
package typealias WhenTaken = @Sendable (Bool) -> Void

/// A change of one client, at its place in the order of all messages.
enum ClientChange: Sendable {
    case open(Channels, greeting: [EncodedMessage])
    case subscribe(MessageChannel, replyTo: String?, then: [EncodedMessage])
    case subscribeToTables(SubscriptionChange)
    case unsubscribe(MessageChannel, replyTo: String?)
    /// Ends one subscription, by its id.
    case unsubscribeFromTables(String, replyTo: String?)
    case join(Topic)
    case leave(Topic)
    /// The transaction that a replay waited for was published.
    case goOn(History.Retention)
    /// A replay is complete up to here.
    case goLive(History.Retention)
    /// A snapshot is complete, as the message says; later transactions follow. Contains the newest transaction at this
    /// place in the order.
    case release(History.Retention, EncodedMessage, after: Position, head: Position)
    /// A snapshot failed.
    case abandon(History.Retention, replyTo: String?)
    case close(CloseCode, reason: String)
}

/// A connection of a hub; never reused in one process.
package struct ClientID: Sendable, Hashable {
    /// The shard that the connection belongs to.
    let shard: Int
    package let number: UInt64
}

extension ClientID: CustomStringConvertible {
    package var description: String { "client \(number)" }
}

/// One connection, as the hub uses it: a destination for bytes.
///
/// Confined to its event loop: the hub calls it only there. It may call ``Hub/disconnect(_:)`` and ``Hub/drained(_:)``
/// from within these calls.
package protocol OutboundConnection: AnyObject {
    var eventLoop: any EventLoop { get }

    /// How messages are framed for this connection; never changes.
    var frameEncoding: FrameEncoding { get }

    /// Bytes that were written and have not been taken by the kernel.
    var queuedBytes: Int { get }

    /// Sends complete frames and flushes. The buffer is shared with other connections. Returns ``queuedBytes`` after
    /// the write. The implementation calls ``Hub/drained(_:)`` when everything was taken after some of it had to wait.
    func write(_ frames: ByteBuffer) -> Int

    /// Ends the connection, and drops the waiting bytes when the code is ``CloseCode/tooSlow``. The implementation
    /// calls ``Hub/disconnect(_:)`` at the end, immediately or later; the hub writes nothing after it.
    func close(_ code: CloseCode, reason: String)
}
