/// What a server sends to a relay in addition to the messages for any client: whole transactions, in a form that both must
/// know.
package enum RelayFormat {
    /// The version of the encoded transactions and tables: a relay and its source must agree on it.
    package static let version = 1
    /// The capability in `connection:ack` of a server that serves relays of this version.
    package static let capability = "relay.\(version)"

    /// A committed transaction, or a part of it, for a subscription with `relay`.
    package static let transaction = MessageType("relay:transaction")
    /// What a relay has to know besides the transactions, after `subscribed`.
    package static let state = MessageType("relay:state")
    /// Sent by a relay whose source goes on under another epoch: the position after it is the message's.
    package static let renamed = MessageType("relay:renamed")
    /// Sent by a relay whose way to the source has changed.
    package static let path = MessageType("relay:path")

    /// A request of a relay: answered with ``checked`` as soon as the server has everything that was known at the source when
    /// the request came, the epochs of restarts included. The answer has the last transaction of these, as `position`.
    package static let check = MessageType("relay:check")
    package static let checked = MessageType("relay:checked")
    /// The users that have changed, in both directions, while ``RelayStatePayload/exchangesPresence``.
    package static let presence = MessageType("relay:presence")
    /// The types of a relay's own requests.
    static let requestTypes: Set<MessageType> = [check, presence]
    /// The header of a relay's connection for the transactions: its id. Such a connection is no user.
    package static let header = "Tablecast-Relay"

    /// The field of a `subscribe`.
    static func check(_ value: JSONValue, _ data: JSONFields) throws(ProtocolError) {
        guard value == .integer(Int64(version)) else {
            throw data.failure(.relay, "expected \(version), the version of this server, found \(value.kind)")
        }
        for name in TableFilter.fieldNames where name != .relay && data.value(name) != nil {
            throw data.failure(name, "expected none with relay, which receives everything")
        }
    }
}

/// `relay:transaction`: a part of a transaction.
package struct RelayTransactionPayload: Sendable, Hashable {
    package var subscription: String
    /// Bytes of the encoded transaction; those of all its messages belong together.
    package var bytes: [UInt8]
    package var transaction: TableEventContext.Transaction

    package init(subscription: String, bytes: [UInt8], transaction: TableEventContext.Transaction) {
        self.subscription = subscription
        self.bytes = bytes
        self.transaction = transaction
    }
}

extension RelayTransactionPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("subscription", subscription)
        writer.key("bytes")
        bytes.withUnsafeBytes { writer.blob($0) }
        writer.field("transaction", transaction)
        writer.endObject()
    }
}

extension RelayTransactionPayload {
    /// Nil for data of another form.
    package init?(_ data: JSONValue) {
        guard case .object(let fields) = data, let bytes = fields.bytes("bytes"),
            case .string(let subscription)? = fields["subscription"],
            case .object(let transaction)? = fields["transaction"],
            case .string(let text)? = transaction["position"], case .bool(let isLast)? = transaction["last"],
            // Whatever is wrong with the text, it is no position.
            let position = try? Position(parsing: text)
        else { return nil }
        self.init(subscription: subscription, bytes: bytes, transaction: .init(position: position, isLast: isLast))
    }
}

/// `relay:state`: what a relay has to know besides the transactions.
package struct RelayStatePayload: Sendable, Hashable {
    /// The encoded tables of the database, not older than the position of the subscription.
    package var tables: [UInt8]
    /// The epochs whose positions are valid besides the current one, each with its last sequence.
    package var earlierEpochs: [String: UInt64]
    /// Why the file cannot be read now; nil while it is watched.
    package var goneBecause: String?
    /// Whether the relay's clients and the server's see each other.
    package var exchangesPresence: Bool

    package init(
        tables: [UInt8],
        earlierEpochs: [String: UInt64],
        goneBecause: String?,
        exchangesPresence: Bool = false
    ) {
        self.tables = tables
        self.earlierEpochs = earlierEpochs
        self.goneBecause = goneBecause
        self.exchangesPresence = exchangesPresence
    }
}

extension RelayStatePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("tables")
        tables.withUnsafeBytes { writer.blob($0) }
        writer.key("earlierEpochs")
        writer.beginObject()
        for (epoch, last) in earlierEpochs.sorted(by: { $0.key < $1.key }) {
            writer.key(escaping: epoch)
            writer.integer(Int64(clamping: last))
        }
        writer.endObject()
        writer.field("gone", goneBecause)
        writer.field("presence", exchangesPresence)
        writer.endObject()
    }

    /// Nil for data of another form.
    package init?(_ data: JSONValue) {
        guard case .object(let fields) = data, let tables = fields.bytes("tables"),
            let earlierEpochs = Self.epochs(fields["earlierEpochs"])
        else { return nil }
        self.init(tables: tables, earlierEpochs: earlierEpochs, goneBecause: nil)
        if case .string(let reason)? = fields["gone"] { goneBecause = reason }
        if case .bool(let value)? = fields["presence"] { exchangesPresence = value }
    }

    /// The value of `earlierEpochs`; nil for one of another form.
    package static func epochs(_ value: JSONValue?) -> [String: UInt64]? {
        guard case .object(let fields)? = value else { return nil }
        var epochs: [String: UInt64] = [:]
        for (epoch, value) in fields {
            // Whatever is wrong with the value, it is no sequence.
            guard case .integer(let last)? = try? WireValue(value), last >= 0 else { return nil }
            epochs[epoch] = UInt64(last)
        }
        return epochs
    }
}

/// `relay:presence`: users that have changed, each as it is now.
package struct PresenceReport: Sendable, Hashable, Codable {
    package var users: [ConnectedUser] = []
    /// The ids of those that have left.
    package var left: [String] = []

    package init(users: [ConnectedUser] = [], left: [String] = []) {
        self.users = users
        self.left = left
    }

    package var isEmpty: Bool { users.isEmpty && left.isEmpty }
}

extension PresenceReport: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("users", users)
        writer.field("left", left)
        writer.endObject()
    }

    /// As data of a client's message.
    package var json: JSONValue {
        var writer = JSONWriter()
        write(to: &writer)
        // What the writer wrote is JSON.
        return (try? JSONValue(parsing: writer.bytes)) ?? .null
    }

    /// - Throws: `INVALID_MESSAGE`.
    package init(_ data: JSONValue) throws(ProtocolError) {
        do {
            self = try PresenceReport(from: JSONValueDecoder(data))
        } catch {
            throw ProtocolError(.invalidMessage, "data: expected users and left of a relay of this version")
        }
        let isValid = users.allSatisfy { user in
            (1...ClientMessage.maxIdentifierBytes).contains(user.userID.utf8.count)
                && (1...ClientMessage.maxUsernameBytes).contains(user.username.utf8.count)
        }
        guard isValid else {
            throw ProtocolError(.invalidMessage, "data.users: expected ids and names like those of clients")
        }
    }
}

extension [String: JSONValue] {
    fileprivate func bytes(_ name: String) -> [UInt8]? {
        // Whatever is wrong with the value, it is no bytes.
        guard let value = self[name], case .blob(let bytes)? = try? WireValue(value) else { return nil }
        return bytes
    }
}
