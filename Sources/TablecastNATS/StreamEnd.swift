#if NATS
    import NATSConnection
    import SQLiteConnection
    import WireProtocol

    /// Where a stream ends, and whether a publisher may continue there: found before the first message of a session is published.
    struct StreamEnd {
        /// The size of the stream when this program creates it.
        private static let newStreamBytes = 1 << 30
        /// How long nothing may come into the stream before a session begins.
        private static let quietTime = Duration.milliseconds(200)

        /// Why the stream cannot be used; the other values are not known then.
        private(set) var error: StreamError?
        private(set) var lastSequence: UInt64 = 0
        private(set) var stateSequence: UInt64 = 0
        /// The last transaction in the stream.
        private(set) var position: Position?
        private(set) var maxMessageBytes = 0

        /// Creates the stream if there is none. Blocks the thread until nothing comes into the stream.
        init(
            of stream: NATSStream,
            _ name: StreamName,
            database: String,
            _ state: Monitor<StreamPublisher.State>
        ) throws(NATSError) {
            do throws(NATSError) {
                if let other = try stream.connection.request(ControlRequest.identity, to: name.control) {
                    error = .otherPublisher(other)
                    return
                }
            } catch {
                guard error.kind == .unreachable, !stream.connection.isClosed else { throw error }
                // It is stopped, or its machine was lost: the broker forgets it after some time.
                throw NATSError(.unreachable, "a process that publishes into the stream does not answer")
            }
            if try stream.info() == nil {
                try stream.create(description: "Changes of \(database), by tablecast", maxBytes: Self.newStreamBytes)
            }
            let info = try Self.quietInfo(of: stream, state)
            if let problem = info.problem(subject: name.subject) {
                error = .otherStream(problem)
                return
            }
            lastSequence = info.lastSequence
            maxMessageBytes = min(stream.connection.maxMessageBytes, info.maxMessageBytes ?? .max)
            guard let last = try stream.lastMessage() else { return }
            guard last.sequence <= info.lastSequence else { throw Self.unquiet }
            do throws(StreamRecordError) {
                try read(last, of: stream, database: database)
            } catch {
                self.error =
                    error == .malformed ? .otherStream("its last message is not from this program") : .versionDiffers
            }
        }

        private mutating func read(
            _ last: NATSMessage,
            of stream: NATSStream,
            database: String
        ) throws(StreamRecordError) {
            let record = try StreamRecord(last.bytes)
            position = record.completePosition
            stateSequence = record.stateSequence
            let message = try record.stateSequence == last.sequence ? last : stream.stateMessage(record.stateSequence)
            guard let message, case .state(let state) = try StreamRecord(message.bytes).body else { return }
            if state.database != database { error = .otherDatabase(state.database, expected: database) }
        }

        private static let unquiet = NATSError(
            .unreachable,
            "messages of another connection still come into the stream"
        )

        /// The stream when nothing has come into it for some time.
        ///
        /// A broker that was stopped still has messages of an earlier connection, of this process or of one that was killed. Their
        /// sequences are those of this session's messages, so that both would be stored in turns, with holes between them.
        private static func quietInfo(
            of stream: NATSStream,
            _ state: Monitor<StreamPublisher.State>
        ) throws(NATSError) -> NATSStreamInfo {
            let end = ContinuousClock.now + PublishingSession.maxAcknowledgementWait
            var last: NATSStreamInfo?
            while ContinuousClock.now < end {
                guard let info = try stream.info() else { throw NATSError(.notFound, "the stream was deleted") }
                if info.lastSequence == 0 || info.lastSequence == last?.lastSequence { return info }
                last = info
                if state.wait(atMost: quietTime, { $0.isEnding ? true : nil }) != nil { return info }
            }
            throw unquiet
        }
    }

    extension NATSStream {
        /// The message with a state; nil when it is not kept any more.
        fileprivate func stateMessage(_ sequence: UInt64) throws(StreamRecordError) -> NATSMessage? {
            // A broker that is lost now is noticed by the next call.
            sequence == 0 ? nil : try? message(at: sequence)
        }
    }

    extension NATSStreamInfo {
        /// Why a stream cannot be used, with what was expected; nil for one that can.
        func problem(subject: String) -> String? {
            if isMirror { return "it is a mirror or has sources, expected a stream of its own" }
            if subjects != [subject] {
                return "it has the subjects \(subjects.joined(separator: ", ")), expected only \(subject)"
            }
            guard removesOldest else {
                return
                    "expected the retention 'limits' and the discard policy 'old', so that old messages make room for new ones"
            }
            return nil
        }
    }
#endif
