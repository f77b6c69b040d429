import Synchronization
import WireProtocol

/// A new epoch, as `subscribed` with `recovered: false` for each subscription to tables, encoded once for all clients that
/// have it. Thread-safe.
final class EpochNotice: Sendable {
    let start: Position
    private let encoded = Mutex<[TableSubscription: EncodedMessage]>([:])

    init(_ start: Position) { self.start = start }

    func message(for subscription: TableSubscription) -> EncodedMessage {
        encoded.withLock { encoded in
            if let known = encoded[subscription] { return known }
            let payload = SubscribedPayload(
                channel: .tables,
                subscription: subscription.id,
                position: start,
                recovered: false
            )
            let message = EncodedMessage.subscribed(payload, replyTo: nil)
            encoded[subscription] = message
            return message
        }
    }
}
