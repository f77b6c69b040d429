#if NATS
    import CNATS

    /// What the broker says of a stream.
    package struct NATSStreamInfo: Sendable, Hashable {
        package var subjects: [String]
        /// The oldest message that is kept; ``lastSequence`` + 1 when there is none.
        package var firstSequence: UInt64
        /// The newest message that was ever stored.
        package var lastSequence: UInt64
        /// Nanoseconds since 1970: another value is another stream of the same name.
        package var created: Int64
        /// Whether old messages are removed at the limits of the stream, and only there.
        package var removesOldest: Bool
        package var isMirror: Bool
        /// The bytes that the stream accepts in one message; nil when only the broker's own limit holds.
        package var maxMessageBytes: Int?
    }

    /// A stream of JetStream by its name. Calls block, see ``NATSConnection``.
    package struct NATSStream: Sendable {
        package let connection: NATSConnection
        package let name: String
        package let subject: String

        package init(_ name: String, subject: String, of connection: NATSConnection) {
            self.connection = connection
            self.name = name
            self.subject = subject
        }

        /// Nil when there is no stream of this name.
        package func info() throws(NATSError) -> NATSStreamInfo? {
            var info: UnsafeMutablePointer<jsStreamInfo>?
            var code = jsErrCode(rawValue: 0)
            let status = js_GetStreamInfo(&info, connection.jetStream, name, nil, &code)
            if status == NATS_NOT_FOUND || code == JSStreamNotFoundErr { return nil }
            try check(status, code)
            defer { jsStreamInfo_Destroy(info) }
            guard let info, let config = info.pointee.Config else { throw NATSError(.other, "no answer") }
            let subjects = (0..<Int(config.pointee.SubjectsLen)).compactMap { index in
                config.pointee.Subjects?[index].map { String(cString: $0) }
            }
            let state = info.pointee.State
            return NATSStreamInfo(
                subjects: subjects,
                firstSequence: state.Msgs == 0 ? state.LastSeq + 1 : state.FirstSeq,
                lastSequence: state.LastSeq,
                created: info.pointee.Created,
                removesOldest: config.pointee.Retention == js_LimitsPolicy && config.pointee.Discard == js_DiscardOld,
                isMirror: config.pointee.Mirror != nil || config.pointee.SourcesLen > 0,
                maxMessageBytes: config.pointee.MaxMsgSize > 0 ? Int(config.pointee.MaxMsgSize) : nil
            )
        }

        /// Creates the stream: in files, the oldest messages removed beyond `maxBytes`.
        package func create(description: String, maxBytes: Int) throws(NATSError) {
            var code = jsErrCode(rawValue: 0)
            let status = withCStrings([name, description, subject]) { strings in
                var config = jsStreamConfig()
                jsStreamConfig_Init(&config)
                config.Name = strings[0]
                config.Description = strings[1]
                config.Storage = js_FileStorage
                config.Retention = js_LimitsPolicy
                config.Discard = js_DiscardOld
                config.MaxBytes = Int64(maxBytes)
                var subjects = [strings[2]]
                return subjects.withUnsafeMutableBufferPointer { subjects in
                    config.Subjects = subjects.baseAddress
                    config.SubjectsLen = 1
                    return js_AddStream(nil, connection.jetStream, &config, nil, &code)
                }
            }
            try check(status, code)
        }

        /// The newest message; nil when the stream is empty.
        package func lastMessage() throws(NATSError) -> NATSMessage? {
            try message { message, code in js_GetLastMsg(&message, connection.jetStream, name, subject, nil, &code) }
        }

        /// Nil when the message is not kept any more.
        package func message(at sequence: UInt64) throws(NATSError) -> NATSMessage? {
            try message { message, code in js_GetMsg(&message, connection.jetStream, name, sequence, nil, &code) }
        }

        private func message(_ get: (inout OpaquePointer?, inout jsErrCode) -> natsStatus) throws(NATSError)
            -> NATSMessage?
        {
            var message: OpaquePointer?
            var code = jsErrCode(rawValue: 0)
            let status = get(&message, &code)
            if status == NATS_NOT_FOUND || code == JSNoMessageFoundErr { return nil }
            try check(status, code)
            return message.map { NATSMessage(taking: $0) }
        }

        /// The messages from a sequence on, in order. The broker waits while `maxWaiting` of them are not read.
        ///
        /// It skips messages that it does not keep any more without saying so.
        package func messages(
            from sequence: UInt64,
            maxWaiting: Int,
            maxWaitingBytes: Int
        ) throws(NATSError) -> NATSSubscription {
            var options = jsSubOptions()
            jsSubOptions_Init(&options)
            options.Ordered = true
            options.Config.DeliverPolicy = js_DeliverByStartSequence
            options.Config.OptStartSeq = sequence
            options.Config.Heartbeat = 1_000_000_000
            var subscription: OpaquePointer?
            var code = jsErrCode(rawValue: 0)
            let status = withCStrings([name]) { strings in
                options.Stream = strings[0]
                return js_SubscribeSync(&subscription, connection.jetStream, subject, nil, &options, &code)
            }
            try check(status, code)
            guard let subscription else { throw NATSError(NATS_ERR) }
            let result = NATSSubscription(subscription, of: connection)
            try result.limit(messages: maxWaiting, bytes: maxWaitingBytes)
            return result
        }
    }
#endif
