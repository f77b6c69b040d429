/// The wire form of clients' messages: what a client sends, and what ``ClientMessage/init(parsing:)`` reads.
extension ClientMessage: CustomStringConvertible {
    /// The message as the JSON of one text frame.
    public var json: String {
        var writer = JSONWriter()
        write(to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    public var description: String { json }

    /// The `type` on the wire.
    public var type: MessageType {
        switch body {
        case .subscribe: .subscribe
        case .unsubscribe: .unsubscribe
        case .executeQuery: .queryExecute
        case .cancelQuery: .queryCancel
        case .subscribeQuery: .querySubscribe
        case .unsubscribeQuery: .queryUnsubscribe
        case .writeRow: .rowWrite
        case .renewToken: .tokenRenew
        case .identify: .userIdentify
        case .cursor: .userCursor
        case .heartbeat: .heartbeat
        case .custom(let type, _): type
        }
    }
}

extension ClientMessage: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("id", id)
        writer.field("type", type.rawValue)
        switch body {
        case .subscribe(let request):
            writer.field("channel", request.channel.rawValue)
            writer.field("data", request)
        case .unsubscribe(let channel, let subscription):
            writer.field("channel", channel.rawValue)
            if let subscription { writer.data("subscription", subscription) }
        case .executeQuery(let request): writer.field("data", request)
        case .cancelQuery(let id): writer.data("queryId", id)
        case .subscribeQuery(let request): writer.field("data", request)
        case .unsubscribeQuery(let id): writer.data("subscription", id)
        case .writeRow(let request): writer.field("data", request)
        case .renewToken(let token): writer.data("token", token)
        case .identify(let username): writer.data("username", username)
        case .cursor(let location): writer.field("data", location)
        case .heartbeat: break
        case .custom(_, let data):
            writer.key("data")
            writer.value(data)
        }
        writer.endObject()
    }
}

extension JSONWriter {
    /// `data` with one field.
    fileprivate mutating func data(_ name: some FieldName, _ text: String) {
        key("data")
        beginObject()
        field(name, text)
        endObject()
    }

    fileprivate mutating func params(_ parameters: QueryRequest.Parameters) {
        guard parameters != .none else { return }
        field("params", parameters)
    }

    fileprivate mutating func field(_ name: StaticString, milliseconds duration: Duration?) {
        guard let duration else { return }
        key(name)
        integer(duration.milliseconds)
    }

    fileprivate mutating func fields(_ filter: TableFilter) {
        if filter.isForRelay { return field("relay", RelayFormat.version) }
        field("tables", filter.tables)
        if filter.operations != .all {
            field("operations", TableOperations.names.filter { filter.operations.contains($0.operation) }.map(\.name))
        }
        if filter.rowLevel != .none { field("rows", filter.rowLevel.rawValue) }
        guard let condition = filter.condition else { return }
        field("where", condition.sql)
        params(condition.parameters)
    }
}

extension SubscribeRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        if let subscriptions {
            writer.key("subscriptions")
            writer.beginArray()
            for filter in subscriptions {
                writer.beginObject()
                writer.fields(filter)
                writer.endObject()
            }
            writer.endArray()
        } else {
            writer.fields(filter)
        }
        writer.field("since", since)
        if wantsSnapshot { writer.field("snapshot", true) }
        writer.field("replaces", replaces)
        writer.endObject()
    }
}

extension QueryRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("sql", sql)
        writer.params(parameters)
        writer.field("queryId", queryID)
        if rowFormat != .objects { writer.field("rowFormat", rowFormat.rawValue) }
        writer.field("maxRows", maxRows)
        writer.field("timeout", milliseconds: timeout)
        writer.field("progressInterval", milliseconds: progressInterval)
        if !isAtomic { writer.field("atomic", false) }
        writer.endObject()
    }
}

extension LiveQueryRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("sql", sql)
        writer.params(parameters)
        writer.field("key", key)
        writer.field("since", since)
        writer.endObject()
    }
}

extension RowWriteRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("table", table)
        writer.field("op", operation.rawValue)
        if !key.isEmpty { writer.field("key", object: key) }
        if let rowid {
            writer.key("rowid")
            writer.integer(rowid)
        }
        if !before.isEmpty { writer.field("before", object: before) }
        if !values.isEmpty { writer.field("values", object: values) }
        writer.field("queryId", queryID)
        writer.field("timeout", milliseconds: timeout)
        writer.endObject()
    }
}
