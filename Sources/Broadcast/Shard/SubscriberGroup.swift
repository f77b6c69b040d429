import NIOCore
import WireProtocol

/// All subscriptions of a client: two clients with equal subscriptions receive equal bytes.
///
/// All channels together rather than one by one, so that each client is in one group, gets one write, and receives
/// everything in one order.
struct Subscriptions: Hashable {
    /// Without tables, which are in ``tables``.
    var channels: Channels
    /// In the order of ids; empty for a client that is not live.
    var tables: [TableSubscription]
    /// The client has several subscriptions to tables, one of which may wait for its snapshot.
    var endsTransactions: Bool
    /// What restricts the client's view; nil for no restriction.
    var restriction: Restriction?
    var topics: Set<Topic> = []

    func includes(_ channel: MessageChannel) -> Bool {
        channel == .tables ? !tables.isEmpty : channels.contains(Channels(channel))
    }

    /// Calls `body` with each message of the item for all clients with these subscriptions, without messages for a
    /// single client.
    func forEachMessage(of item: QueueItem, _ body: (EncodedMessage) -> Void) {
        switch item {
        case .publication(let delivery):
            var isConcerned = false
            for subscription in tables {
                for message in delivery.messages(for: subscription) {
                    isConcerned = true
                    body(message)
                }
            }
            if isConcerned, endsTransactions { body(delivery.end) }
        case .message(let message, let audience):
            if let message = self.message(message, to: audience) { body(message) }
        case .reset(let notice):
            for subscription in tables { body(notice.message(for: subscription)) }
        case .direct, .change, .closeEveryone:
            break
        }
    }
}

extension Subscriptions {
    /// The message for a client with these subscriptions, unless the client is excluded; nil for none.
    func message(_ message: EncodedMessage, to audience: QueueItem.Audience) -> EncodedMessage? {
        switch audience {
        case .everyone:
            return message
        case .channel(let channel, _, let restricted):
            guard includes(channel) else { return nil }
            guard let restriction, let restricted else { return message }
            return restricted(restriction)
        case .topic(let topic):
            return topics.contains(topic) ? message : nil
        }
    }
}

/// The clients of one shard with the same subscriptions and the same encoding. Confined to the shard's event loop.
final class SubscriberGroup {
    struct Key: Hashable {
        var subscriptions: Subscriptions
        var frameEncoding: FrameEncoding
    }

    struct Member {
        let client: Client
        /// A copy, so that writing to all members touches one array and the connections, and no other memory of ten
        /// thousand clients. Nil while the member is muted.
        var connection: (any OutboundConnection)?

        init(_ client: Client) {
            self.client = client
            connection = client.connection
        }
    }

    let key: Key
    /// Dense: the last member moves to the place of a removed one.
    private(set) var members: ContiguousArray<Member> = []

    init(_ key: Key) { self.key = key }

    func add(_ client: Client) {
        client.group = self
        client.indexInGroup = members.count
        members.append(Member(client))
    }

    /// Excludes the member from the group's writes for the rest of a drain. Its place stays, because an iteration may
    /// be running.
    func mute(_ client: Client) { members[client.indexInGroup].connection = nil }

    func unmute(_ client: Client) { members[client.indexInGroup].connection = client.connection }

    func remove(_ client: Client) {
        let index = client.indexInGroup
        members.swapAt(index, members.count - 1)
        members[index].client.indexInGroup = index
        members.removeLast()
        client.group = nil
    }

    /// The messages of the items for this group.
    func frames(of items: [QueueItem]) -> FrameBatch {
        var frames = FrameSequence(frameEncoding: key.frameEncoding)
        for item in items {
            key.subscriptions.forEachMessage(of: item) { frames.append($0) }
        }
        return frames.batch
    }
}

/// What is written to a connection at once: large frames by themselves, and all others joined.
struct FrameBatch {
    /// In order, before ``last``.
    fileprivate(set) var earlier: [ByteBuffer] = []
    /// Nil when there are no frames.
    fileprivate(set) var last: ByteBuffer?
    fileprivate(set) var byteCount = 0

    var bufferCount: Int { earlier.count + (last == nil ? 0 : 1) }

    /// - Returns: the bytes that wait for the client to read.
    func write(to connection: any OutboundConnection) -> Int {
        for buffer in earlier { _ = connection.write(buffer) }
        return last.map { connection.write($0) } ?? connection.queuedBytes
    }
}

/// Messages that are sent together.
struct FrameSequence {
    let frameEncoding: FrameEncoding
    private var complete = FrameBatch()
    private var frames: [ByteBuffer] = []
    private var byteCount = 0
    /// All frames after the complete ones, once there was a message for this client alone.
    private var own: ByteBuffer?

    init(frameEncoding: FrameEncoding) { self.frameEncoding = frameEncoding }

    /// Appends a message that no other client receives.
    mutating func append(own message: EncodedMessage) {
        guard let append = frameEncoding.append, message.json.readableBytes <= Self.maxJoinedBytes else {
            return self.append(message)
        }
        // Taken, so that the buffer has one owner and grows in place.
        var buffer = own.take() ?? joinedFrames(capacity: byteCount + message.json.readableBytes + Self.spareBytes)
        append(message, &buffer)
        own = buffer
    }

    /// Room for the other messages of a short query.
    private static let spareBytes = 1_024
    /// A larger frame is not copied: the messages of a large transaction would need their memory twice, until the slowest client
    /// has read all of them.
    private static let maxJoinedBytes = 128 << 10

    mutating func append(_ message: EncodedMessage) {
        let frame = message.framed(for: frameEncoding)
        if frame.readableBytes > Self.maxJoinedBytes {
            completeFrames()
            complete.append(frame)
        } else if var buffer = own.take() {
            buffer.writeImmutableBuffer(frame)
            own = buffer
        } else {
            frames.append(frame)
            byteCount += frame.readableBytes
        }
    }

    /// Everything that was appended.
    var batch: FrameBatch {
        var batch = complete
        if let joined { batch.append(joined) }
        return batch
    }

    private mutating func completeFrames() {
        complete = batch
        frames.removeAll()
        byteCount = 0
        own = nil
    }

    /// One buffer: that of the only frame as it is, or a copy of all.
    private var joined: ByteBuffer? {
        if let own { return own }
        return frames.count > 1 ? joinedFrames(capacity: byteCount) : frames.first
    }

    private func joinedFrames(capacity: Int) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: capacity)
        for frame in frames { buffer.writeImmutableBuffer(frame) }
        return buffer
    }
}

extension FrameBatch {
    fileprivate mutating func append(_ buffer: ByteBuffer) {
        if let last { earlier.append(last) }
        last = buffer
        byteCount += buffer.readableBytes
    }
}
