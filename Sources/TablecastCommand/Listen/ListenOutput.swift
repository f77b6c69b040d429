import WireProtocol

/// Where `listen` writes: messages to stdout, what is to be said about the connection to stderr.
struct ListenOutput: Sendable {
    /// Messages as they are, one a line, rather than lines for people.
    var isJSON: Bool
    var output = Terminal.output
    var error = Terminal.error

    /// Returns false when the reader is gone.
    ///
    /// - Parameter text: The message as it came.
    func print(_ message: Envelope, _ text: String) throws(CommandFailure) -> Bool {
        if isJSON { return try output.writeLine(text) }
        let utcOffset = LocalClock.utcOffset(atUnixMilliseconds: message.header.timestamp)
        guard let lines = MessageLines(utcOffset: utcOffset).lines(message, text) else { return true }
        let width = output.isInteractive ? output.columnCount : Int.max
        return try output.write(lines.map { $0.rendered(width: width, output.palette) + "\n" }.joined())
    }

    func tell(_ notice: ListenSession.Notice) {
        switch notice {
        case .connected(let database, let position):
            let name = database.map { "connected to \($0)" } ?? "connected"
            note(name + (position.map { " at \($0)" } ?? ""))
        case .resumed:
            note("connected again; nothing was missed")
        case .missed:
            warn("the server cannot tell what happened before this: changes may have been missed")
        }
    }

    func note(_ text: String) { error.note(error.palette(.dim, text.printable)) }

    func warn(_ text: String) { error.note(error.palette(.yellow, text.printable)) }
}
