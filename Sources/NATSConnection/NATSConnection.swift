#if NATS
    import CNATS
    import Synchronization

    /// How to reach a broker.
    package struct NATSAddress: Sendable, Hashable, CustomStringConvertible {
        /// URLs of the brokers of one cluster, which are tried in turn: `nats://host:4222`, `tls://host`.
        package var urls: [String]
        /// A file with a user's JWT and seed, as `nsc` writes it.
        package var credentialsFile: String?
        /// A file with the seed of a user's nkey, instead of credentials.
        package var nkeyFile: String?
        /// PEM files: the certificates that are trusted, and the client's own.
        package var certificateAuthorityFile: String?
        package var certificateFile: String?
        package var keyFile: String?

        package init(urls: [String]) { self.urls = urls }

        /// The URLs without names and passwords.
        package var description: String {
            urls.map { url in
                guard let at = url.lastIndex(of: "@"), let slash = url.firstIndex(of: "/") else { return url }
                return url[...slash] + "/" + url[url.index(after: at)...]
            }.joined(separator: ",")
        }

        /// Whether the broker sends something to sign.
        var signs: Bool { credentialsFile != nil || nkeyFile != nil }

        var usesTLS: Bool {
            certificateAuthorityFile != nil || certificateFile != nil || urls.contains { $0.hasPrefix("tls://") }
        }
    }

    /// A connection to a broker with JetStream. It does not reconnect: its owner opens another one, and so knows what was
    /// lost with the first.
    ///
    /// Every call can block for ``requestTimeout``: none may come from an event loop or the cooperative pool.
    ///
    /// `@unchecked Sendable`: libnats guards connections and contexts with locks of their own, and the pointers are constant
    /// until `deinit`.
    package final class NATSConnection: @unchecked Sendable {
        /// The time for a connection, and for the answer to a request.
        package static let requestTimeout = Duration.seconds(3)
        /// A broker that answers no ping twice is given up.
        fileprivate static let pingInterval = Duration.seconds(2)
        fileprivate static let maxUnansweredPings: Int32 = 2
        /// libnats 3.4.1 omits a signature whose first byte is 0, one of 256, and the broker refuses the connection as one with a
        /// wrong key (found in the broker's trace). The next connection signs something else.
        private static let maxSignedAttempts = 3

        let handle: OpaquePointer
        let jetStream: OpaquePointer
        /// Subscriptions without an owner.
        private let retired = Mutex<Retired>(Retired())
        /// The library has a pointer to it.
        private let key: NKey?

        private struct Retired: @unchecked Sendable {
            /// `@unchecked Sendable`: only the connection's `deinit` uses the pointers.
            var subscriptions: [OpaquePointer] = []
        }

        /// - Parameter name: of the client in the broker's lists of connections.
        package init(_ address: NATSAddress, name: String) throws(NATSError) {
            let options = try Options()
            try options.set(address, name: name)
            let key: NKey?
            if let file = address.nkeyFile { key = try NKey(file: file) } else { key = nil }
            if let key { try setKey(key, of: options.handle) }
            let handle = try Self.connect(options, maxAttempts: address.signs ? Self.maxSignedAttempts : 1)
            var jetStreamOptions = jsOptions()
            jsOptions_Init(&jetStreamOptions)
            jetStreamOptions.Wait = Self.requestTimeout.milliseconds
            var jetStream: OpaquePointer?
            let status = natsConnection_JetStream(&jetStream, handle, &jetStreamOptions)
            guard status == NATS_OK, let jetStream else {
                let error = NATSError(status)
                natsConnection_Destroy(handle)
                throw error
            }
            self.handle = handle
            self.jetStream = jetStream
            self.key = key
        }

        private static func connect(
            _ options: borrowing Options,
            maxAttempts: Int
        ) throws(NATSError) -> OpaquePointer {
            var attempts = 0
            while true {
                var handle: OpaquePointer?
                let status = natsConnection_Connect(&handle, options.handle)
                if status == NATS_OK, let handle { return handle }
                attempts += 1
                let error = NATSError(status)
                guard error.kind == .unauthorized, attempts < maxAttempts else { throw error }
            }
        }

        deinit {
            // Afterwards the library's thread reads no more.
            natsConnection_Close(handle)
            for subscription in retired.withLock({ $0.subscriptions }) { natsSubscription_Destroy(subscription) }
            jsCtx_Destroy(jetStream)
            natsConnection_Destroy(handle)
        }

        /// Destroys a subscription together with the connection: in libnats 3.4.1 the thread that reads uses a subscription which another
        /// one has destroyed (`natsConn_processMsg`, found with valgrind).
        func retire(_ subscription: OpaquePointer) {
            // It fails only when the connection has ended, and then no message comes.
            natsSubscription_Unsubscribe(subscription)
            retired.withLock { $0.subscriptions.append(subscription) }
        }

        /// Ends every wait of other threads. Further calls do nothing.
        package func close() { natsConnection_Close(handle) }

        package var isClosed: Bool { natsConnection_IsClosed(handle) }

        /// Why the connection has ended.
        package var failure: NATSError {
            var text: UnsafePointer<CChar>?
            let status = natsConnection_GetLastError(handle, &text)
            guard status != NATS_OK else { return NATSError(.unreachable, "the broker closed the connection") }
            var error = NATSError(status)
            if let text, text.pointee != 0 { error.message = String(cString: text) }
            return error
        }

        /// The bytes that the broker accepts in one message, its headers included.
        package var maxMessageBytes: Int { Int(natsConnection_GetMaxPayload(handle)) }

        /// A subject for answers.
        package static func makeInbox() throws(NATSError) -> String {
            var text: UnsafeMutablePointer<CChar>?
            try check(natsInbox_Create(&text))
            defer { natsInbox_Destroy(text) }
            return text.map { String(cString: $0) } ?? ""
        }

        // MARK: Messages

        /// Passes a message on; the library sends it at once, on a thread of its own.
        ///
        /// - Parameters:
        ///   - answer: the subject to which the broker sends whether it stored the message.
        ///   - sequence: of the last message of the stream, without which the broker refuses this one.
        package func publish(
            _ bytes: [UInt8],
            to subject: String,
            answer: String,
            expectingLast sequence: UInt64
        ) throws(NATSError) {
            var message: OpaquePointer?
            let status = bytes.withUnsafeBytes { bytes in
                natsMsg_Create(
                    &message,
                    subject,
                    answer,
                    bytes.assumingMemoryBound(to: CChar.self).baseAddress,
                    Int32(clamping: bytes.count)
                )
            }
            try check(status)
            defer { natsMsg_Destroy(message) }
            // Source: the JetStream headers of https://docs.nats.io/nats-concepts/jetstream/headers
            try check(natsMsgHeader_Set(message, "Nats-Expected-Last-Sequence", String(sequence)))
            try check(natsConnection_PublishMsg(handle, message))
        }

        /// The answer of the only process that answers on the subject; nil when there is none.
        package func request(_ text: String, to subject: String) throws(NATSError) -> String? {
            var answer: OpaquePointer?
            let status = natsConnection_RequestString(&answer, handle, subject, text, Self.requestTimeout.milliseconds)
            if status == NATS_NO_RESPONDERS { return nil }
            try check(status)
            defer { natsMsg_Destroy(answer) }
            return String(decoding: NATSMessage.bytes(of: answer), as: UTF8.self)
        }

        package func answer(_ message: NATSMessage, _ text: String) throws(NATSError) {
            guard let subject = message.answer else { return }
            try check(natsConnection_PublishString(handle, subject, text))
        }

        package func subscribe(_ subject: String) throws(NATSError) -> NATSSubscription {
            var subscription: OpaquePointer?
            try check(natsConnection_SubscribeSync(&subscription, handle, subject))
            guard let subscription else { throw NATSError(NATS_ERR) }
            return NATSSubscription(subscription, of: self)
        }
    }

    /// Owns `natsOptions`, which a connection copies.
    private struct Options: ~Copyable {
        let handle: OpaquePointer

        init() throws(NATSError) {
            var created: OpaquePointer?
            try check(natsOptions_Create(&created))
            guard let created else { throw NATSError(NATS_ERR) }
            handle = created
        }

        deinit { natsOptions_Destroy(handle) }

        func set(_ address: NATSAddress, name: String) throws(NATSError) {
            let timeout = NATSConnection.requestTimeout.milliseconds
            try set(servers: address.urls)
            try check(natsOptions_SetName(handle, name))
            try check(natsOptions_SetAllowReconnect(handle, false))
            try check(natsOptions_SetTimeout(handle, timeout))
            try check(natsOptions_SetWriteDeadline(handle, timeout))
            try check(natsOptions_SetPingInterval(handle, NATSConnection.pingInterval.milliseconds))
            try check(natsOptions_SetMaxPingsOut(handle, NATSConnection.maxUnansweredPings))
            // Without a handler the library prints errors to standard error.
            try check(natsOptions_SetErrorHandler(handle, { _, _, _, _ in }, nil))
            if let file = address.credentialsFile {
                try check(natsOptions_SetUserCredentialsFromFiles(handle, file, nil))
            }
            guard address.usesTLS else { return }
            try check(natsOptions_SetSecure(handle, true))
            if let file = address.certificateAuthorityFile {
                try check(natsOptions_LoadCATrustedCertificates(handle, file))
            }
            if let file = address.certificateFile {
                try check(natsOptions_LoadCertificatesChain(handle, file, address.keyFile ?? file))
            }
        }

        private func set(servers: [String]) throws(NATSError) {
            try check(
                withCStrings(servers) { servers in
                    var servers = servers
                    return natsOptions_SetServers(handle, &servers, Int32(clamping: servers.count))
                }
            )
        }
    }

    extension Duration {
        var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
    }
#endif
