import Broadcast
import ChangeCapture
import LiveQueries
import SQLiteConnection
import Synchronization
import WireProtocol

/// Writes the events of a live query as messages.
struct LiveMessages: Sendable {
    /// A message with rows is split when its JSON grows beyond this.
    static let maxMessageBytes = 256 << 10

    let description: LiveQueryDescription
    /// Unique names, so that a row can be an object.
    let columns: [String]
    private let keys: [JSONKey]

    init(_ description: LiveQueryDescription) {
        self.description = description
        columns = Self.unique(description.columns)
        keys = columns.map { JSONKey($0) }
    }

    /// A repeated name gets a number, as SQLite numbers the columns of a subquery.
    static func unique(_ names: [String]) -> [String] {
        var taken: Set<String> = []
        return names.map { name in
            var candidate = name
            var number = 1
            while !taken.insert(candidate).inserted {
                candidate = "\(name):\(number)"
                number += 1
            }
            return candidate
        }
    }

    private var id: String { description.id.description }

    func subscribed(at position: LivePosition, recovered: Bool?, replyTo: String?) -> EncodedMessage {
        let position = Position(position)
        let payload = QuerySubscribedPayload(
            subscription: id,
            columns: columns,
            key: description.key.map { $0.map { columns[$0] } },
            plan: description.isIncremental ? .incremental : .rerun,
            reason: description.rerunReason,
            tables: description.tables,
            isOrdered: description.isOrdered,
            position: position,
            isRecovered: recovered
        )
        let header = EnvelopeHeader(.querySubscribed, channel: .queries, position: position, replyTo: replyTo)
        return EncodedMessage(header, payload, subscription: id)
    }

    /// The rows of a snapshot from an index on, as many as fit into a message, and the index after them.
    func snapshot(
        _ rows: LiveRows,
        from start: Int,
        at position: LivePosition,
        isReset: Bool
    ) -> (message: EncodedMessage, next: Int) {
        var writer = JSONWriter(capacityBytes: 4 << 10)
        let position = Position(position)
        writer.beginEnvelope(EnvelopeHeader(.querySnapshot, channel: .queries, position: position))
        QuerySnapshotPayload.beginWriting(
            to: &writer,
            subscription: id,
            isReset: isReset && start == 0 ? true : nil,
            columns: isReset && start == 0 ? columns : nil
        )
        var next = start
        while next < rows.rows.count, writer.count < Self.maxMessageBytes {
            write(rows.rows[next], to: &writer)
            next += 1
        }
        let isLast = next == rows.rows.count
        QuerySnapshotPayload.endWriting(to: &writer, isLast: isLast)
        writer.endEnvelope()
        let end = isLast ? position : nil
        let message = EncodedMessage(writer, type: .querySnapshot, resumePosition: end, subscription: id)
        return (message, next)
    }

    /// A delta; encoded for the first receiver, shared by the others.
    func changed(_ delta: LiveDelta) -> [EncodedMessage] {
        delta.encoded.withLock { encoded in
            if let known = encoded as? [EncodedMessage] { return known }
            let messages = encode(delta)
            encoded = messages
            return messages
        }
    }

    private func encode(_ delta: LiveDelta) -> [EncodedMessage] {
        let position = Position(delta.position)
        var messages: [EncodedMessage] = []
        var next = 0
        repeat {
            var writer = JSONWriter(capacityBytes: 1 << 10)
            writer.beginEnvelope(EnvelopeHeader(.queryChanged, channel: .queries, position: position))
            QueryChangedPayload.beginWriting(
                to: &writer,
                subscription: id,
                transactions: delta.transactions > 1 ? delta.transactions : nil
            )
            while next < delta.rows.count, writer.count < Self.maxMessageBytes {
                write(delta.rows[next], to: &writer)
                next += 1
            }
            let isLast = next == delta.rows.count
            QueryChangedPayload.endWriting(to: &writer, isLast: isLast)
            writer.endEnvelope()
            let end = isLast ? position : nil
            messages.append(EncodedMessage(writer, type: .queryChanged, resumePosition: end, subscription: id))
        } while next < delta.rows.count
        return messages
    }

    private func write(_ change: LiveRowChange, to writer: inout JSONWriter) {
        writer.beginObject()
        let operation: RowChangePayload.Operation =
            change.before == nil ? .insert : change.after == nil ? .delete : .update
        writer.field("op", operation.rawValue)
        if let key = description.key, let row = change.after ?? change.before {
            writer.key("key")
            writer.beginObject()
            for column in key {
                writer.key(keys[column])
                writer.value(WireValue(row[column]))
            }
            writer.endObject()
        }
        if let before = change.before {
            writer.key("before")
            write(before, to: &writer)
        }
        if let after = change.after {
            writer.key("after")
            write(after, to: &writer)
        }
        writer.field("oldIndex", change.oldIndex)
        writer.field("index", change.index)
        writer.endObject()
    }

    private func write(_ row: Row, to writer: inout JSONWriter) {
        writer.beginObject()
        var column = 0
        row.forEachField { field in
            writer.key(keys[column])
            writer.value(field)
            column += 1
        }
        writer.endObject()
    }

    // MARK: Without rows

    static func reached(_ position: LivePosition) -> EncodedMessage {
        let position = Position(position)
        let header = EnvelopeHeader(.queryReached, channel: .queries, position: position)
        return EncodedMessage(header, QueryReachedPayload(), resumePosition: position)
    }

    static func unsubscribed(_ id: LiveQueryID, _ refusal: LiveRefusal?, replyTo: String? = nil) -> EncodedMessage {
        let header = EnvelopeHeader(.queryUnsubscribed, channel: .queries, replyTo: replyTo)
        let payload = QueryUnsubscribedPayload(
            subscription: id.description,
            reason: refusal?.reason,
            code: refusal.map { ErrorCode($0.code) }
        )
        return EncodedMessage(header, payload)
    }
}

extension Position {
    init(_ position: LivePosition) { self.init(epoch: position.epoch, sequence: position.sequence) }
}

extension LivePosition {
    init(_ position: Position) { self.init(epoch: position.epoch, sequence: position.sequence) }
}

extension ErrorCode {
    init(_ code: LiveRefusal.Code) {
        self =
            switch code {
            case .notLive: .notLive
            case .sqlError: .sqlError
            case .notAuthorized: .notAuthorized
            case .limit: .tooBig
            case .tooMany: .tooManyQueries
            case .unavailable: .databaseGone
            }
    }
}

extension ProtocolError {
    /// A refusal as an error with the position in the SQL, if it is known.
    init(_ refusal: LiveRefusal) {
        let place = refusal.offset.map { " (at byte \($0) of the SQL)" } ?? ""
        self.init(ErrorCode(refusal.code), refusal.reason + place)
    }
}

extension LiveParameters {
    init(_ parameters: QueryRequest.Parameters) {
        self =
            switch parameters {
            case .none: .none
            case .positional(let values): .positional(values.map { SQLiteValue($0) })
            case .named(let values): .named(values.mapValues { SQLiteValue($0) })
            }
    }
}
