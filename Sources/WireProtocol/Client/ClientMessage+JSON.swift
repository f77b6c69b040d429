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
        writer.field(ClientField.id, id)
        writer.field(ClientField.type, type.rawValue)
        switch body {
        case .subscribe(let request):
            writer.field(ClientField.channel, request.channel.rawValue)
            writer.field(ClientField.data, request)
        case .unsubscribe(let channel, let subscription):
            writer.field(ClientField.channel, channel.rawValue)
            if let subscription { writer.data(ClientField.subscription, subscription) }
        case .executeQuery(let request): writer.field(ClientField.data, request)
        case .cancelQuery(let id): writer.data(ClientField.queryID, id)
        case .subscribeQuery(let request): writer.field(ClientField.data, request)
        case .unsubscribeQuery(let id): writer.data(ClientField.subscription, id)
        case .writeRow(let request): writer.field(ClientField.data, request)
        case .renewToken(let token): writer.data(ClientField.token, token)
        case .identify(let username): writer.data(ClientField.username, username)
        case .cursor(let location): writer.field(ClientField.data, location)
        case .heartbeat(let afterReplay):
            guard afterReplay else { break }
            writer.key(of: ClientField.data)
            writer.beginObject()
            writer.field(ClientField.afterReplay, true)
            writer.endObject()
        case .custom(_, let data):
            writer.key(of: ClientField.data)
            writer.value(data)
        }
        writer.endObject()
    }
}

extension JSONWriter {
    /// `data` with one field.
    fileprivate mutating func data(_ name: ClientField, _ text: String) {
        key(of: ClientField.data)
        beginObject()
        field(name, text)
        endObject()
    }

    fileprivate mutating func params(_ parameters: QueryRequest.Parameters) {
        guard parameters != .none else { return }
        field(ClientField.parameters, parameters)
    }

    fileprivate mutating func field(_ name: ClientField, milliseconds duration: Duration?) {
        guard let duration else { return }
        key(of: name)
        integer(duration.milliseconds)
    }

    fileprivate mutating func fields(_ filter: TableFilter) {
        if filter.isForRelay { return field(ClientField.relay, RelayFormat.version) }
        field(ClientField.tables, filter.tables)
        if filter.operations != .all {
            field(
                ClientField.operations,
                TableOperations.names.filter { filter.operations.contains($0.operation) }.map(\.name)
            )
        }
        if filter.rowLevel != .none { field(ClientField.rows, filter.rowLevel.rawValue) }
        guard let condition = filter.condition else { return }
        field(ClientField.condition, condition.sql)
        params(condition.parameters)
    }
}

extension SubscribeRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        if let subscriptions {
            writer.key(of: ClientField.subscriptions)
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
        writer.field(ClientField.since, since)
        if subscriptions != nil {
            writer.field(ClientField.resumes, resumes)
        } else {
            writer.field(ClientField.resumes, resumes?.first)
        }
        if wantsSnapshot { writer.field(ClientField.snapshot, true) }
        writer.field(ClientField.replaces, replaces)
        writer.endObject()
    }
}

extension QueryRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(ClientField.sql, sql)
        writer.params(parameters)
        writer.field(ClientField.queryID, queryID)
        if rowFormat != .objects { writer.field(ClientField.rowFormat, rowFormat.rawValue) }
        writer.field(ClientField.maxRows, maxRows)
        writer.field(ClientField.timeout, milliseconds: timeout)
        writer.field(ClientField.progressInterval, milliseconds: progressInterval)
        if !isAtomic { writer.field(ClientField.atomic, false) }
        writer.endObject()
    }
}

extension LiveQueryRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(ClientField.sql, sql)
        writer.params(parameters)
        writer.field(ClientField.key, key)
        writer.field(ClientField.since, since)
        writer.field(ClientField.resumes, resumes)
        writer.endObject()
    }
}

extension RowWriteRequest: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field(ClientField.table, table)
        writer.field(ClientField.operation, operation.rawValue)
        if !key.isEmpty { writer.field(ClientField.key, object: key) }
        if let rowid {
            writer.key(of: ClientField.rowid)
            writer.integer(rowid)
        }
        if !before.isEmpty { writer.field(ClientField.before, object: before) }
        if !values.isEmpty { writer.field(ClientField.values, object: values) }
        writer.field(ClientField.queryID, queryID)
        writer.field(ClientField.timeout, milliseconds: timeout)
        writer.endObject()
    }
}
