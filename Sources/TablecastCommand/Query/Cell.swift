/// A value of a result as a person reads it in a table.
struct Cell: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case null
        case number
        case text
        /// Bytes, shown in hexadecimal.
        case bytes
    }

    var kind: Kind
    /// Fit to be printed: no control characters.
    var text: String
    /// Cells of the terminal that ``text`` takes.
    var width: Int

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text.printable
        width = self.text.displayWidth
    }

    var style: Style {
        switch kind {
        case .null: .dim
        case .number: .cyan
        case .text: .plain
        case .bytes: .magenta
        }
    }
}
