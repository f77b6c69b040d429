/// Why a command ends without having done what it was asked to: what is wrong, and what would help.
struct CommandFailure: Error, Sendable, Hashable, CustomStringConvertible {
    var status: ExitReason
    /// What is wrong, as one sentence without a full stop.
    var message: String
    /// What to do about it, as one sentence.
    var advice: String?

    init(_ status: ExitReason, _ message: String, advice: String? = nil) {
        self.status = status
        self.message = message
        self.advice = advice
    }

    var description: String { rendered(.plain) }

    func rendered(_ palette: Palette) -> String {
        var text = palette(.boldRed, "error:") + " " + message.printable
        if let advice { text += "\n" + palette(.dim, "  " + advice.printable) }
        return text
    }
}
