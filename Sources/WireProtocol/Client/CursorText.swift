/// The text that a user's cursor is in. Nobody writes into another's text: each has one, and the others read along.
public enum CursorText: Sendable, Hashable {
    /// The user's own, as it is now.
    case own(String)
    /// The one of another user, by its id.
    case ofUser(String)

    /// The longest text that is shared.
    public static let maxBytes = 16_384

    init?(_ data: JSONFields) throws(ProtocolError) {
        let own = try data.string("text", maxBytes: Self.maxBytes)
        let owner = try data.string("textOf", maxBytes: ClientMessage.maxIdentifierBytes)
        switch (own, owner) {
        case (nil, nil): return nil
        case (let own?, nil): self = .own(own)
        case (nil, let owner?): self = .ofUser(owner)
        case (_?, _?): throw data.failure("textOf", "expected either this or text, found both")
        }
    }
}

extension CursorLocation {
    /// Bytes of the text that goes with the cursor.
    package var textByteCount: Int {
        if case .text(_, _, .own(let text)) = self { text.utf8.count } else { 0 }
    }

    /// The cursor alone.
    package var withoutText: CursorLocation {
        if case .text(let position, let selection, .own) = self { .text(position, selection: selection) } else { self }
    }
}
