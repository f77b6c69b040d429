import TablecastClient
import WireProtocol

/// Formats a message of the service as lines of text: one for the event, and one for each of its rows.
struct MessageLines: Sendable {
    /// The offset of the local clock.
    var utcOffset: Duration

    /// nil for messages that only keep the connection alive.
    ///
    /// - Parameter text: The message as received.
    func lines(_ message: Envelope, _ text: String) -> [StyledLine]? {
        switch message.payload {
        case .heartbeat, .connectionAck, .tokenRenewed, .subscribed, .unsubscribed, .queryRows: nil
        case .tableCreated(let event): TableEventLines(event.context).created(event).under(clock(message))
        case .tableDropped(let event): TableEventLines(event.context).dropped(event).under(clock(message))
        case .tableModified(let event): modified(event, text).under(clock(message))
        case .tableSnapshot(let event):
            line(
                message,
                "rows",
                .blue,
                "\(SQLName.quoted(event.tableName))  \(Figures.counted(event.rows.count, "row"))"
            )
        case .transactionEnd: nil
        case .snapshotEnd(let end):
            line(
                message,
                end.unreadable.isEmpty ? "rows" : "unreadable",
                end.unreadable.isEmpty ? .blue : .red,
                end.unreadable.isEmpty
                    ? "of \(Figures.counted(end.tables.count, "table")) complete"
                    : end.unreadable.map { "\(SQLName.quoted($0.table)): \($0.error)" }.joined(separator: "; ")
            )
        case .queryStarted(let query):
            line(message, "started", .cyan, "\(query.queryID) by \(query.username ?? query.userID)  \(query.sql)")
        case .queryProgress(let query): line(message, "progress", .cyan, "\(query.queryID)  \(progress(query))")
        case .queryComplete(let query): line(message, "complete", .cyan, "\(query.queryID)  \(query.summary)")
        case .queryError(let query): line(message, "failed", .red, "\(query.queryID)  \(query.error) (\(query.code))")
        case .queryCancelled(let query):
            line(message, "cancelled", .yellow, "\(query.queryID)  by \(query.reason.rawValue)")
        case .querySubscribed(let query):
            line(message, "follows", .cyan, "\(query.subscription)  \(query.columns.joined(separator: ", "))")
        case .querySnapshot(let query):
            line(message, "rows", .cyan, "\(query.subscription)  \(Figures.counted(query.rows.count, "row"))")
        case .queryChanged(let query):
            line(message, "changed", .cyan, "\(query.subscription)  \(Figures.counted(query.rows.count, "row"))")
        case .queryReached: line(message, "reached", .cyan, "")
        case .queryUnsubscribed(let query):
            line(message, "ended", .yellow, "\(query.subscription)  \(query.reason ?? "")")
        case .rowWritten(let write):
            line(message, "written", .cyan, "\(write.queryID)  \(SQLName.quoted(write.tableName))")
        case .userJoined(let user):
            line(message, "joined", .magenta, "\(user.username)  (\(user.connectedUsers) connected)")
        case .userLeft(let user):
            line(message, "left", .magenta, "\(user.username)  (\(user.connectedUsers) connected)")
        case .userList(let list):
            line(message, "users", .magenta, list.users.map(\.username).joined(separator: ", "))
        case .userCursor(let cursor):
            line(message, "cursor", .magenta, "\(cursor.username)  \(location(cursor.location))")
        case .error(let error): line(message, "error", .red, "\(error.message) (\(error.code))")
        case .custom(let type, let data): line(message, type.rawValue.printable, .blue, json(data))
        }
    }

    private func modified(_ event: TableModifiedPayload, _ text: String) -> [StyledLine] {
        TableEventLines(event.context, ColumnOrder(message: text)).modified(event)
    }

    private func progress(_ query: QueryProgressPayload) -> String {
        ProgressBar(
            percentage: query.progress,
            rowCount: query.rowCount,
            elapsed: .milliseconds(query.elapsed),
            message: query.message
        ).line(width: 70, palette: .plain)
    }

    private func location(_ location: CursorLocation) -> String {
        switch location {
        case .text(let position, _, _): "line \(position.line), column \(position.column)"
        case .cell(let table, let row, let column):
            [SQLName.quoted(table), row.map { ValueText.literal($0) }, column.map(SQLName.quoted)]
                .compactMap { $0 }.joined(separator: ".")
        }
    }

    private func json(_ value: JSONValue) -> String {
        var writer = JSONWriter()
        writer.value(value)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func clock(_ message: Envelope) -> StyledLine {
        var line = StyledLine()
        line.append(Figures.clock(unixMilliseconds: message.header.timestamp, utcOffset: utcOffset) + "  ", .dim)
        return line
    }

    private func line(_ message: Envelope, _ verb: String, _ style: Style, _ text: String) -> [StyledLine] {
        var line = clock(message)
        line.append(verb: verb, style)
        line.append(text.printable)
        return [line]
    }
}

extension StyledLine {
    /// Appends the verb of the event, in a column of its own.
    mutating func append(verb: String, _ style: Style) {
        append(verb + String(repeating: " ", count: max(1, 10 - verb.displayWidth)), style)
    }
}

extension [StyledLine] {
    /// Puts a prefix before the first line, and the same amount of space before the others.
    fileprivate func under(_ clock: StyledLine) -> [StyledLine] {
        let width = clock.spans.reduce(0) { $0 + $1.text.displayWidth }
        return enumerated().map { index, line in
            var result = index == 0 ? clock : StyledLine()
            if index > 0 { result.append(String(repeating: " ", count: width)) }
            for span in line.spans { result.append(span.text, span.style) }
            return result
        }
    }
}

/// The output of `listen`: messages to stdout, notices about the connection to stderr.
struct ListenOutput: Sendable {
    /// Whether to print messages unchanged, one per line, rather than as formatted lines.
    var isJSON: Bool
    var output = Terminal.output
    var error = Terminal.error

    /// Returns false when the reader has disconnected.
    ///
    /// - Parameter text: The message as received.
    func print(_ message: Envelope, _ text: String) throws(CommandFailure) -> Bool {
        if isJSON { return try output.writeLine(text) }
        let utcOffset = LocalClock.utcOffset(atUnixMilliseconds: message.header.timestamp)
        guard let lines = MessageLines(utcOffset: utcOffset).lines(message, text) else { return true }
        let width = output.isInteractive ? output.columnCount : Int.max
        return try output.write(lines.map { $0.rendered(width: width, output.palette) + "\n" }.joined())
    }

    /// Prints a message, or reports the event on stderr; returns false when the reader has disconnected.
    func print(_ event: FeedEvent) throws(CommandFailure) -> Bool {
        switch event {
        case .message(let message):
            // A program that reads the output gets the answers to requests too.
            return message.isReply && !isJSON ? true : try print(message.envelope, message.json)
        case .connected(let server):
            let name = server.database.map { "connected to \($0)" } ?? "connected"
            note(name + (server.position.map { " at \($0)" } ?? ""))
        case .disconnected(_, let wait): warn("connection lost, reconnecting in \(Figures.seconds(wait))")
        case .resumed: note("reconnected; nothing was missed")
        case .missed: warn("the server cannot resume from the last position: changes may have been missed")
        }
        return true
    }

    func note(_ text: String) { error.note(error.palette(.dim, text.printable)) }

    func warn(_ text: String) { error.note(error.palette(.yellow, text.printable)) }
}

/// Quotes the names of tables and columns as SQL requires.
enum SQLName {
    /// Unquoted where that is unambiguous, in double quotes otherwise; always printable.
    static func quoted(_ name: String) -> String {
        let isPlain = name.unicodeScalars.allSatisfy { scalar in
            scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal
        }
        if isPlain, let first = name.unicodeScalars.first, first.properties.numericType == nil { return name }
        return "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"").printable
            + "\""
    }
}
