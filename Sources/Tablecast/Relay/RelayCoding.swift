package import Broadcast
package import ChangeCapture
import StateStore
package import WireProtocol

/// The encoding of whole transactions and of tables for relays: the same as in the state on disk.
package enum RelayCoding {
    /// Bytes of a transaction in one message: with base 64, frames are as large as those with rows.
    static let maxPartBytes = TransactionMessages.maxRowsMessageBytes / 4 * 3

    /// The bytes are not those of a transaction, or of tables.
    package struct Malformed: Error, CustomStringConvertible {
        package var description: String { "the encoding is malformed" }
    }

    static func encode(_ transaction: TransactionMessages) -> [UInt8] {
        var encoder = ChangeSetEncoder()
        encoder.withWriter { writer in
            writer.append(transaction.firstPosition.description)
            writer.append(transaction.context.userID)
            writer.append(transaction.context.username)
            writer.append(transaction.context.queryID)
            writer.append(transaction.context.database)
        }
        encoder.append(transaction.changes)
        return encoder.writer.bytes
    }

    /// The whole transaction; nil for a publication that is not a transaction of a database.
    package static func encode(_ publication: any Publication) -> [UInt8]? {
        switch publication {
        case let transaction as TransactionMessages: encode(transaction)
        case let publication as StoredPublication: publication.transaction().map(encode)
        default: nil
        }
    }

    /// - Parameters:
    ///   - bytes: of all messages of the transaction.
    ///   - timestamp: of the messages.
    package static func decode(
        _ bytes: [UInt8],
        at position: Position,
        timestamp: Int64,
        rowFilters: RowFilters
    ) throws(Malformed) -> TransactionMessages {
        var reader = ByteReader(bytes[...])
        do {
            let firstPosition = try Position(parsing: reader.string())
            let (userID, username) = (try reader.optionalString(), try reader.optionalString())
            let (queryID, database) = (try reader.optionalString(), try reader.optionalString())
            let changes = try reader.changeSet()
            guard reader.isAtEnd else { throw Malformed() }
            return TransactionMessages(
                changes: changes,
                position: position,
                timestamp: timestamp,
                context: TableEventContext(
                    userID: userID,
                    username: username,
                    queryID: queryID,
                    database: database,
                    origin: changes.origin == .service ? .service : .external
                ),
                rowFilters: rowFilters,
                firstPosition: firstPosition
            )
        } catch {
            throw Malformed()
        }
    }

    package static func encode(_ tables: [TableDescription]) -> [UInt8] {
        var encoder = ChangeSetEncoder()
        encoder.withWriter { $0.append(count: tables.count) }
        for table in tables { encoder.append(table) }
        return encoder.writer.bytes
    }

    package static func decodeTables(_ bytes: [UInt8]) throws(Malformed) -> [TableDescription] {
        var reader = ByteReader(bytes[...])
        do {
            var tables: [TableDescription] = []
            for _ in 0..<(try reader.count()) { tables.append(try reader.table()) }
            guard reader.isAtEnd else { throw Malformed() }
            return tables
        } catch {
            throw Malformed()
        }
    }
}

extension TransactionMessages {
    /// The whole transaction for a relay, in one message or more.
    func relayMessages(_ subscription: TableSubscription) -> [EncodedMessage] {
        let bytes = RelayCoding.encode(self)
        var messages: [EncodedMessage] = []
        var start = 0
        repeat {
            let end = min(start + RelayCoding.maxPartBytes, bytes.count)
            let header = EnvelopeHeader(
                id: "\(firstPosition)/\(subscription.id)/\(messages.count)",
                timestamp: timestamp,
                type: RelayFormat.transaction,
                channel: .tables,
                position: position
            )
            let payload = RelayTransactionPayload(
                subscription: subscription.id,
                bytes: Array(bytes[start..<end]),
                transaction: .init(position: position, isLast: end == bytes.count)
            )
            var writer = JSONWriter(capacityBytes: (end - start) / 3 * 4 + 512)
            writer.envelope(header, payload)
            let resumePosition = end == bytes.count ? position : nil
            messages.append(
                EncodedMessage(
                    writer,
                    type: header.type,
                    resumePosition: resumePosition,
                    subscription: subscription.id
                )
            )
            start = end
        } while start < bytes.count
        return messages
    }
}
