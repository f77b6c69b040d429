#if NATS
    import StateStore
    import WireProtocol

    /// A message of a stream: a transaction or a part of it, what an edge has to know besides, or a notification.
    struct StreamRecord: Hashable {
        enum Body: Hashable {
            case state(StreamState)
            case part(TransactionPart)
            /// A notification of the source about its database.
            case notice(MessageType, JSONValue)
        }

        /// The version of the records. A reader must know it, and ``RelayFormat/version``.
        static let version: UInt8 = 1
        /// What the bytes of a record can have besides a part's own: numbers, an epoch, and the headers of the broker's protocol.
        static let maxOverheadBytes = 1_024

        /// Of the last transaction up to here; for a part, of its transaction.
        var position: Position
        /// The sequence in the stream of the newest state before this record, or of this one.
        var stateSequence: UInt64
        var body: Body

        /// The last transaction that is complete with this record.
        var completePosition: Position {
            if case .part(let part) = body, !part.isLast {
                return Position(epoch: position.epoch, sequence: position.sequence - 1)
            }
            return position
        }
    }

    struct TransactionPart: Hashable {
        /// From 0.
        var index: Int
        var isLast: Bool
        /// Unix milliseconds of the commit.
        var timestamp: Int64
        var bytes: ArraySlice<UInt8>
    }

    /// What an edge has to know besides the transactions: with it, it can begin here.
    struct StreamState: Hashable {
        /// The run of the process that published it.
        var publisher: String
        var database: String
        /// The sequence in the stream of the state before this one; 0 for none.
        var previous: UInt64
        var relay: RelayStatePayload
    }

    /// Why a message of a stream cannot be read.
    enum StreamRecordError: Error, Hashable {
        case malformed
        /// Another version has written it.
        case version(UInt8)
    }

    // MARK: Bytes

    extension StreamRecord {
        var bytes: [UInt8] {
            var writer = ByteWriter()
            writer.append(Self.version)
            writer.append(UInt8(RelayFormat.version))
            writer.append(position.epoch)
            writer.append(position.sequence)
            writer.append(stateSequence)
            switch body {
            case .state(let state):
                writer.append(Kind.state.rawValue)
                writer.append(state.publisher)
                writer.append(state.database)
                writer.append(state.previous)
                state.relay.tables.withUnsafeBytes { writer.append(raw: $0) }
                writer.append(count: state.relay.earlierEpochs.count)
                for (epoch, last) in state.relay.earlierEpochs.sorted(by: { $0.key < $1.key }) {
                    writer.append(epoch)
                    writer.append(last)
                }
                writer.append(state.relay.goneBecause)
            case .part(let part):
                writer.append(Kind.part.rawValue)
                writer.append(count: part.index)
                writer.append(part.isLast)
                writer.append(part.timestamp)
                part.bytes.withUnsafeBytes { writer.append(raw: $0) }
            case .notice(let type, let data):
                writer.append(Kind.notice.rawValue)
                writer.append(type.rawValue)
                var json = JSONWriter()
                json.value(data)
                json.withUnsafeBytes { writer.append(raw: $0) }
            }
            return writer.bytes
        }

        private enum Kind: UInt8 {
            case state = 1
            case part = 2
            case notice = 3
        }

        init(_ bytes: [UInt8]) throws(StreamRecordError) {
            guard let version = bytes.first else { throw .malformed }
            guard version == Self.version, bytes.dropFirst().first == UInt8(RelayFormat.version) else {
                throw .version(version)
            }
            do {
                try self.init(reading: bytes.dropFirst(2))
            } catch {
                throw .malformed
            }
        }

        private init(reading bytes: ArraySlice<UInt8>) throws {
            var reader = ByteReader(bytes)
            let epoch = try reader.string()
            let sequence: UInt64 = try reader.integer()
            position = try Position(parsing: "\(epoch):\(sequence)")
            stateSequence = try reader.integer()
            switch Kind(rawValue: try reader.byte()) {
            case .state:
                let (publisher, database) = (try reader.string(), try reader.string())
                let previous: UInt64 = try reader.integer()
                let tables = Array(try reader.raw())
                var earlier: [String: UInt64] = [:]
                for _ in 0..<(try reader.count()) { earlier[try reader.string()] = try reader.integer() }
                body = .state(
                    StreamState(
                        publisher: publisher,
                        database: database,
                        previous: previous,
                        relay: RelayStatePayload(
                            tables: tables,
                            earlierEpochs: earlier,
                            goneBecause: try reader.optionalString()
                        )
                    )
                )
            case .part:
                body = .part(
                    TransactionPart(
                        index: try reader.number(),
                        isLast: try reader.bool(),
                        timestamp: try reader.integer(),
                        bytes: try reader.raw()
                    )
                )
                guard position.sequence > 0 else { throw ByteReader.Malformed() }
            case .notice: body = .notice(MessageType(try reader.string()), try JSONValue(parsing: reader.raw()))
            case nil: throw ByteReader.Malformed()
            }
            guard reader.isAtEnd else { throw ByteReader.Malformed() }
        }
    }
#endif
