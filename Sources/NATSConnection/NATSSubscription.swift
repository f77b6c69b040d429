#if NATS
    import CNATS

    /// A received message.
    package struct NATSMessage: Sendable {
        package var subject: String
        /// The subject for an answer.
        package var answer: String?
        package var bytes: [UInt8]
        /// The number of the message in its stream; 0 for one that is in no stream.
        package var sequence: UInt64
        /// The broker reports that no process listens on the subject of a request.
        package var isWithoutReceiver: Bool

        /// Takes the message, and destroys it.
        init(taking message: OpaquePointer) {
            defer { natsMsg_Destroy(message) }
            subject = String(cString: natsMsg_GetSubject(message))
            answer = natsMsg_GetReply(message).map { String(cString: $0) }
            bytes = Self.bytes(of: message)
            sequence = Self.sequence(of: message)
            isWithoutReceiver = natsMsg_IsNoResponders(message)
        }

        /// The library knows it itself only of a message that was requested; a delivered one has it in the subject for its answer.
        private static func sequence(of message: OpaquePointer) -> UInt64 {
            let known = natsMsg_GetSequence(message)
            guard known == 0, natsMsg_GetReply(message) != nil else { return known }
            var data: UnsafeMutablePointer<jsMsgMetaData>?
            // The message is in no stream.
            guard natsMsg_GetMetaData(&data, message) == NATS_OK, let data else { return 0 }
            defer { jsMsgMetaData_Destroy(data) }
            return data.pointee.Sequence.Stream
        }

        static func bytes(of message: OpaquePointer?) -> [UInt8] {
            let count = Int(natsMsg_GetDataLength(message))
            guard count > 0, let data = natsMsg_GetData(message) else { return [] }
            return Array(UnsafeRawBufferPointer(start: data, count: count))
        }
    }

    /// The messages of a subject or of a stream, read by one thread. What it has not read uses memory until the connection ends.
    ///
    /// `@unchecked Sendable`: libnats guards a subscription with a lock of its own, and the pointer is constant until `deinit`.
    package final class NATSSubscription: @unchecked Sendable {
        private let handle: OpaquePointer
        /// Outlives the subscription.
        private let connection: NATSConnection

        init(_ handle: OpaquePointer, of connection: NATSConnection) {
            self.handle = handle
            self.connection = connection
        }

        deinit { connection.retire(handle) }

        /// The next message; nil when there is none within the time.
        ///
        /// - Throws: when the connection or the subscription has ended.
        package func next(within timeout: Duration) throws(NATSError) -> NATSMessage? {
            var message: OpaquePointer?
            let status = natsSubscription_NextMsg(&message, handle, max(timeout.milliseconds, 1))
            switch status {
            case NATS_OK: return message.map { NATSMessage(taking: $0) }
            case NATS_TIMEOUT: return nil
            default: throw NATSError(status)
            }
        }

        func limit(messages: Int, bytes: Int) throws(NATSError) {
            try check(natsSubscription_SetPendingLimits(handle, Int32(clamping: messages), Int32(clamping: bytes)))
        }
    }
#endif
