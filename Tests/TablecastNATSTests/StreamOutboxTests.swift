#if NATS
    import Testing
    import WireProtocol

    @testable import TablecastNATS

    /// What a source sends, and what it concludes from the broker's answers.
    struct StreamOutboxTests {
        private let relay = RelayStatePayload(tables: [1, 2], earlierEpochs: ["z": 4], goneBecause: "why")

        private func outbox(maxMessageBytes: Int = 1 << 20) -> StreamOutbox {
            StreamOutbox(
                publisher: "p",
                database: "shop.db",
                start: Position(epoch: "a", sequence: 7),
                lastSequence: 20,
                stateSequence: 11,
                maxMessageBytes: maxMessageBytes
            )
        }

        @Test func `Every record is read as it was written`() throws {
            var outbox = outbox()
            let message = outbox.state(relay)
            let state = try #require(message)
            let content = StreamState(publisher: "p", database: "shop.db", previous: 11, relay: relay)
            let position = Position(epoch: "a", sequence: 7)
            #expect(
                try StreamRecord(state.bytes)
                    == StreamRecord(position: position, stateSequence: 21, body: .state(content))
            )
            let type = MessageType("database:gone")
            let data = JSONValue.object(["message": .string("ä\n")])
            let notice = try StreamRecord(outbox.notice(type, data).bytes)
            #expect(notice == StreamRecord(position: position, stateSequence: 21, body: .notice(type, data)))
        }

        @Test func `A transaction is sent in parts below the limit of the broker`() throws {
            var outbox = outbox(maxMessageBytes: 4_096)
            let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0) }
            let position = Position(epoch: "a", sequence: 8)
            var joined: [UInt8] = []
            var (offset, index): (Int?, Int) = (0, 0)
            while let from = offset {
                #expect(outbox.sent.sequence == 7)
                let (message, next) = outbox.part(index, of: bytes, from: from, position: position, timestamp: 1)
                #expect(message.sequence == UInt64(21 + index) && message.bytes.count <= 4_096)
                let record = try StreamRecord(message.bytes)
                guard case .part(let part) = record.body else { throw StreamRecordError.malformed }
                #expect(part.index == index && part.isLast == (next == nil))
                #expect(record.completePosition.sequence == (part.isLast ? 8 : 7))
                joined += part.bytes
                (offset, index) = (next, index + 1)
            }
            #expect(joined == bytes && outbox.sent == position && index > 4)
        }

        @Test func `Transactions are stored when their last part is`() {
            var outbox = outbox(maxMessageBytes: 4_096)
            let position = Position(epoch: "a", sequence: 8)
            let bytes = [UInt8](repeating: 0, count: 5_000)
            let (_, next) = outbox.part(0, of: bytes, from: 0, position: position, timestamp: 1)
            _ = outbox.part(1, of: bytes, from: next ?? 0, position: position, timestamp: 1)
            outbox.acknowledged(through: 21)
            #expect(outbox.stored.sequence == 7 && outbox.hasUnacknowledged)
            outbox.acknowledged(through: 22)
            #expect(outbox.stored == position && !outbox.hasUnacknowledged)
        }

        @Test func `Nothing more is sent beyond the limits`() {
            var outbox = outbox()
            for _ in 0..<StreamOutbox.maxUnacknowledgedMessages {
                #expect(!outbox.isFull)
                _ = outbox.notice(MessageType("x"), .null)
            }
            #expect(outbox.isFull)
            outbox.acknowledged(through: 21)
            #expect(!outbox.isFull)
        }

        @Test func `A state is due after a number of messages`() {
            var outbox = outbox()
            #expect(!outbox.isStateDue)
            for _ in 0..<StreamOutbox.messagesBetweenStates { _ = outbox.notice(MessageType("x"), .null) }
            #expect(outbox.isStateDue)
            _ = outbox.state(relay)
            #expect(!outbox.isStateDue)
        }

        @Test func `Tables that do not fit into a message are refused`() {
            var outbox = outbox(maxMessageBytes: 4_096)
            var relay = relay
            relay.tables = Array(repeating: 0, count: 4_096)
            let message = outbox.state(relay)
            #expect(message == nil)
        }

        @Test func `Other bytes are not a record, and another version is named`() throws {
            var outbox = outbox()
            let message = outbox.state(relay)
            let bytes = try #require(message).bytes
            #expect(throws: StreamRecordError.version(9)) { try StreamRecord([9] + bytes.dropFirst()) }
            #expect(throws: StreamRecordError.malformed) { try StreamRecord([]) }
            for count in 2..<bytes.count {
                #expect(throws: StreamRecordError.malformed) { try StreamRecord(Array(bytes.prefix(count))) }
            }
            #expect(throws: StreamRecordError.malformed) { try StreamRecord(bytes + [0]) }
        }

        @Test func `The broker's answers are told apart`() {
            #expect(PublishAnswer(Array(#"{"stream":"tablecast", "seq":21}"#.utf8)) == .stored)
            let fenced =
                #"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 22"},"stream":"x","seq":0}"#
            #expect(PublishAnswer(Array(fenced.utf8)) == .wrongSequence)
            let full = #"{"error":{"code":500,"err_code":10047,"description":"insufficient storage"}}"#
            #expect(PublishAnswer(Array(full.utf8)) == .refused("insufficient storage"))
        }

        @Test func `A stream's name is checked`() {
            #expect(StreamName("shop_2-b") != nil)
            for name in ["", "a.b", "a b", "ä", String(repeating: "a", count: 65), "*", ">"] {
                #expect(StreamName(name) == nil, "\(name)")
            }
        }
    }
#endif
