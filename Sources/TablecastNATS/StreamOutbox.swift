#if NATS
    import NIOCore
    import WireProtocol

    /// The messages of one connection to the broker: numbers them, and knows which of them it has not stored yet. A value without I/O.
    ///
    /// Each message names the sequence of the one before it, and the broker refuses it where another came between: so a message is
    /// stored once, in order, or not at all, and a second process cannot publish into the same stream.
    struct StreamOutbox {
        /// Messages that the broker has not acknowledged; beyond this nothing is sent.
        static let maxUnacknowledgedMessages = 4_096
        static let maxUnacknowledgedBytes = 16 << 20
        /// An edge that begins, or that missed something, begins at a state.
        static let messagesBetweenStates: UInt64 = 10_000

        /// A message for the broker.
        struct Message: Hashable {
            var bytes: [UInt8]
            /// Its sequence in the stream.
            var sequence: UInt64
        }

        private struct Sent {
            let sequence: UInt64
            let byteCount: Int
            let position: Position
        }

        private let publisher: String
        private let database: String
        private let maxPartBytes: Int
        /// The last message that was sent.
        private(set) var lastSequence: UInt64
        private var stateSequence: UInt64
        private var unacknowledged = CircularBuffer<Sent>()
        private var unacknowledgedBytes = 0
        /// The last transaction that was sent.
        private(set) var sent: Position
        /// The last transaction that the broker has stored.
        private(set) var stored: Position

        /// - Parameters:
        ///   - start: the transactions after it follow.
        ///   - lastSequence: the last message of the stream.
        ///   - stateSequence: the newest state in it; 0 for none.
        ///   - maxMessageBytes: what the broker accepts.
        init(
            publisher: String,
            database: String,
            start: Position,
            lastSequence: UInt64,
            stateSequence: UInt64,
            maxMessageBytes: Int
        ) {
            self.publisher = publisher
            self.database = database
            self.lastSequence = lastSequence
            self.stateSequence = stateSequence
            maxPartBytes = max(maxMessageBytes - StreamRecord.maxOverheadBytes, 1_024)
            sent = start
            stored = start
        }

        var isFull: Bool {
            unacknowledged.count >= Self.maxUnacknowledgedMessages || unacknowledgedBytes >= Self.maxUnacknowledgedBytes
        }

        var hasUnacknowledged: Bool { !unacknowledged.isEmpty }

        var isStateDue: Bool { lastSequence - stateSequence >= Self.messagesBetweenStates }

        // MARK: Messages

        /// A state at the last transaction that was sent; or at another position, where transactions are missing.
        ///
        /// - Returns: nil for a database whose tables do not fit into one message.
        mutating func state(_ relay: RelayStatePayload, at position: Position? = nil) -> Message? {
            if let position { sent = position }
            let body = StreamRecord.Body.state(
                StreamState(publisher: publisher, database: database, previous: stateSequence, relay: relay)
            )
            let bytes = StreamRecord(position: sent, stateSequence: lastSequence + 1, body: body).bytes
            guard bytes.count <= maxPartBytes + StreamRecord.maxOverheadBytes / 2 else { return nil }
            stateSequence = lastSequence + 1
            return next(bytes)
        }

        mutating func notice(_ type: MessageType, _ data: JSONValue) -> Message {
            next(StreamRecord(position: sent, stateSequence: stateSequence, body: .notice(type, data)).bytes)
        }

        /// The part of a transaction that begins at the offset; it is the last one when ``Message`` ends with the bytes.
        ///
        /// - Returns: the message, and the offset of the next part; nil after the last one.
        mutating func part(
            _ index: Int,
            of transaction: [UInt8],
            from offset: Int,
            position: Position,
            timestamp: Int64
        ) -> (message: Message, next: Int?) {
            let end = min(offset + maxPartBytes, transaction.count)
            let isLast = end == transaction.count
            let part = TransactionPart(
                index: index,
                isLast: isLast,
                timestamp: timestamp,
                bytes: transaction[offset..<end]
            )
            let record = StreamRecord(position: position, stateSequence: stateSequence, body: .part(part))
            if isLast { sent = position }
            return (next(record.bytes), isLast ? nil : end)
        }

        private mutating func next(_ bytes: [UInt8]) -> Message {
            lastSequence += 1
            unacknowledged.append(Sent(sequence: lastSequence, byteCount: bytes.count, position: sent))
            unacknowledgedBytes += bytes.count
            return Message(bytes: bytes, sequence: lastSequence)
        }

        // MARK: Acknowledgements

        /// The broker has stored every message up to this one.
        mutating func acknowledged(through sequence: UInt64) {
            while let first = unacknowledged.first, first.sequence <= sequence {
                unacknowledgedBytes -= first.byteCount
                stored = first.position
                unacknowledged.removeFirst()
            }
        }
    }

    /// What the broker answers to a message.
    enum PublishAnswer: Hashable {
        case stored
        /// Another message has the sequence.
        case wrongSequence
        case refused(String)

        /// Source: `JSPubAckResponse` of nats-server: an error comes first.
        init(_ json: [UInt8]) {
            if json.starts(with: #"{"stream":"#.utf8) {
                self = .stored
                return
            }
            // Whatever is wrong with the text, it is no acknowledgement.
            guard case .object(let fields)? = try? JSONValue(parsing: json), case .object(let error)? = fields["error"]
            else {
                self = .refused("its answer is not JetStream's: \(quoted(String(decoding: json, as: UTF8.self)))")
                return
            }
            var text = "an unknown error"
            if case .string(let description)? = error["description"] { text = description }
            self = error["err_code"] == .integer(Self.wrongSequenceCode) ? .wrongSequence : .refused(text)
        }

        /// `JSStreamWrongLastSequenceErrF`.
        private static let wrongSequenceCode: Int64 = 10_071
    }
#endif
