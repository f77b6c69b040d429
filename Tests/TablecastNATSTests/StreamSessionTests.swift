#if NATS
    import TablecastRelay
    import Testing
    import WireProtocol

    @testable import TablecastNATS

    /// What an edge concludes from the messages of a stream.
    struct StreamSessionTests {
        private func at(_ sequence: UInt64, _ epoch: String = "a") -> Position {
            Position(epoch: epoch, sequence: sequence)
        }

        private func state(
            _ position: Position,
            earlier: [String: UInt64] = [:],
            database: String = "shop.db"
        ) -> StreamRecord {
            let relay = RelayStatePayload(tables: [], earlierEpochs: earlier, goneBecause: nil)
            let state = StreamState(publisher: "p", database: database, previous: 0, relay: relay)
            return StreamRecord(position: position, stateSequence: 1, body: .state(state))
        }

        private func part(_ position: Position, _ index: Int = 0, isLast: Bool = true, _ byte: UInt8 = 0)
            -> StreamRecord
        {
            let part = TransactionPart(index: index, isLast: isLast, timestamp: 5, bytes: [byte])
            return StreamRecord(position: position, stateSequence: 1, body: .part(part))
        }

        private func published(_ position: Position, _ bytes: [UInt8] = [0]) -> StreamSession.Action {
            .perform(.publish(SourceTransaction(position: position, timestamp: 5, bytes: bytes)))
        }

        /// One that has received the transactions up to `a:last`.
        private func session(through last: UInt64) -> StreamSession {
            var session = StreamSession()
            _ = session.connected(at: 1, head: 0, isSynchronized: true)
            _ = session.received(state(at(0)), at: 1)
            for sequence in 1..<(last + 1) { _ = session.received(part(at(sequence)), at: sequence + 1) }
            return session
        }

        @Test func `An edge begins at a state and publishes what follows`() {
            var session = StreamSession()
            #expect(session.connected(at: 7, head: 9, isSynchronized: true).isEmpty)
            let first = state(at(3))
            guard case .state(let content) = first.body else { return }
            #expect(session.received(first, at: 7) == [.perform(.begin(at(3))), .perform(.state(content.relay))])
            #expect(session.received(part(at(4)), at: 8) == [published(at(4))])
            #expect(session.received(part(at(5)), at: 9) == [published(at(5)), .perform(.caughtUp)])
            #expect(session.database == "shop.db")
        }

        @Test func `Parts are joined`() {
            var session = session(through: 2)
            #expect(session.received(part(at(3), isLast: false, 1), at: 4).isEmpty)
            #expect(session.received(part(at(3), 1, isLast: false, 2), at: 5).isEmpty)
            #expect(session.received(part(at(3), 2, 3), at: 6) == [published(at(3), [1, 2, 3])])
        }

        @Test func `A duplicate is ignored`() {
            var session = session(through: 2)
            #expect(session.received(part(at(2)), at: 4).isEmpty)
            #expect(session.received(part(at(3)), at: 5) == [published(at(3))])
        }

        @Test func `A missing transaction, or a missing part, is looked for before it is a gap`() {
            var session = session(through: 2)
            #expect(session.received(part(at(4)), at: 5) == [.synchronize])
            var other = self.session(through: 2)
            #expect(other.received(part(at(3), isLast: false), at: 4).isEmpty)
            #expect(other.received(part(at(3), 2), at: 5) == [.synchronize])
        }

        @Test func `What the stream has not is a gap`() {
            var session = session(through: 2)
            session.disconnected()
            _ = session.connected(at: 4, head: 5, isSynchronized: true)
            #expect(
                session.received(part(at(5)), at: 5)
                    == [
                        .perform(.gap(at(4), isAnnounced: false)), published(at(5)), .requestState, .perform(.caughtUp),
                    ]
            )
        }

        @Test func `A transaction that was published again in parts after a state is published once`() {
            var session = session(through: 2)
            #expect(session.received(part(at(3), isLast: false, 1), at: 4).isEmpty)
            // The source was killed between the parts.
            #expect(session.received(state(at(2)), at: 5).isEmpty)
            #expect(session.received(part(at(3), isLast: false, 1), at: 6).isEmpty)
            #expect(session.received(part(at(3), 1, 2), at: 7) == [published(at(3), [1, 2])])
        }

        @Test func `An epoch that goes on is renamed`() {
            var session = session(through: 2)
            let next = state(at(2, "b"), earlier: ["a": 2])
            #expect(session.received(next, at: 4).first == .perform(.rename(epoch: "b", earlier: ["a": 2])))
            #expect(session.received(part(at(3, "b")), at: 5) == [published(at(3, "b"))])
            // The same stream read again from the beginning.
            session.disconnected()
            _ = session.connected(at: 1, head: 5, isSynchronized: true)
            #expect(session.received(state(at(0)), at: 1).isEmpty)
            #expect(session.received(part(at(1)), at: 2).isEmpty)
            #expect(session.received(part(at(2)), at: 3).isEmpty)
            #expect(session.received(next, at: 4).isEmpty)
            #expect(session.received(part(at(3, "b")), at: 5) == [.perform(.caughtUp)])
            #expect(session.received(part(at(4, "b")), at: 6) == [published(at(4, "b"))])
        }

        @Test func `Another epoch is a gap, and so is one that goes on from before the position`() {
            for next in [state(at(0, "b")), state(at(1, "b"), earlier: ["a": 1])] {
                var session = session(through: 2)
                #expect(session.received(next, at: 4) == [.synchronize])
                _ = session.connected(at: 4, head: 4, isSynchronized: true)
                #expect(session.received(next, at: 4).first == .perform(.gap(next.position, isAnnounced: false)))
                #expect(session.position == next.position)
            }
        }

        @Test func `The source's notification of an epoch is not repeated`() {
            var session = session(through: 2)
            let data = JSONValue.object(["message": .string("replaced")])
            let type = MessageType("database:epoch")
            let notice = StreamRecord(position: at(2), stateSequence: 1, body: .notice(type, data))
            #expect(session.received(notice, at: 4) == [.perform(.notify(type, data))])
            _ = session.connected(at: 5, head: 5, isSynchronized: true)
            #expect(
                session.received(state(at(0, "b")), at: 5).first == .perform(.gap(at(0, "b"), isAnnounced: true))
            )
        }

        @Test func `A stream of another database is refused`() {
            var session = session(through: 2)
            #expect(session.received(state(at(2), database: "other.db"), at: 4) == [.refuse(database: "other.db")])
        }

        @Test func `A state precedes the position when nothing is missing after it`() {
            let session = session(through: 2)
            #expect(session.precedes(at(2)))
            #expect(!session.precedes(at(3)))
            #expect(!session.precedes(at(1, "b")))
        }
    }
#endif
