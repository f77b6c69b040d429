/// The position of a user's cursor: in a text, or in a cell of a table.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum CursorLocation: Sendable, Hashable {
    case text(TextPosition, selection: TextSelection?, in: CursorText? = nil)
    /// The row by its key or number, and the column if the cursor is in one.
    case cell(table: String, row: WireValue?, column: String?)

    /// The longest name of a table or column, and the longest text that names a row.
    public static let maxNameBytes = 1024

    init(_ data: JSONFields) throws(ProtocolError) {
        if let position = try data.object(.position) {
            // The position counts; a field of the wrong type is a mistake all the same.
            for name in [ClientField.table, .column] { _ = try data.string(name, maxBytes: Self.maxNameBytes) }
            let selection = try data.object(.selection).map { fields throws(ProtocolError) in
                TextSelection(start: try Self.position(.start, fields), end: try Self.position(.end, fields))
            }
            self = .text(try TextPosition(position), selection: selection, in: try CursorText(data))
            return
        }
        guard let table = try data.string(.table, maxBytes: Self.maxNameBytes) else {
            throw data.failure(.position, "expected {line, column}, or table, row and column, found neither")
        }
        var row: WireValue?
        if let json = data.value(.row) {
            do {
                row = try WireValue(json)
            } catch {
                throw data.failure(.row, error.description)
            }
            let byteCount =
                switch row {
                case .text(let text): text.utf8.count
                case .blob(let bytes), .malformedText(let bytes): bytes.count
                default: 0
                }
            guard byteCount <= Self.maxNameBytes else {
                throw data.failure(.row, "expected at most \(Self.maxNameBytes) bytes, found \(byteCount)")
            }
        }
        self = .cell(table: table, row: row, column: try data.string(.column, maxBytes: Self.maxNameBytes))
    }

    private static func position(_ name: ClientField, _ fields: JSONFields) throws(ProtocolError) -> TextPosition {
        try TextPosition(fields.required(fields.object(name), name, "an object {line, column}"))
    }
}

/// A position in a text; the protocol does not define the number of the first line and column.
public struct TextPosition: Sendable, Hashable, Codable {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    init(_ fields: JSONFields) throws(ProtocolError) {
        line = try fields.required(fields.count(.line), .line, "a non-negative integer")
        column = try fields.required(fields.count(.column), .column, "a non-negative integer")
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case line, column
    }
}

/// A user's selection in a text, from its first character to the position after its last.
public struct TextSelection: Sendable, Hashable, Codable {
    public var start: TextPosition
    public var end: TextPosition

    public init(start: TextPosition, end: TextPosition) {
        self.start = start
        self.end = end
    }

    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case start, end
    }
}

extension CursorLocation: Codable {
    fileprivate enum CodingKeys: String, CodingKey, FieldName {
        case position, selection, text, textOf, table, row, column
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let position = try container.decodeIfPresent(TextPosition.self, forKey: .position) {
            let own = try container.decodeIfPresent(String.self, forKey: .text)
            let owner = try container.decodeIfPresent(String.self, forKey: .textOf)
            self = .text(
                position,
                selection: try container.decodeIfPresent(TextSelection.self, forKey: .selection),
                in: own.map(CursorText.own) ?? owner.map(CursorText.ofUser)
            )
        } else {
            self = .cell(
                table: try container.decode(String.self, forKey: .table),
                row: try container.decodeIfPresent(WireValue.self, forKey: .row),
                column: try container.decodeIfPresent(String.self, forKey: .column)
            )
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .text(let position, let selection, let text):
            try container.encode(position, forKey: .position)
            try container.encodeIfPresent(selection, forKey: .selection)
            switch text {
            case .own(let text): try container.encode(text, forKey: .text)
            case .ofUser(let userID): try container.encode(userID, forKey: .textOf)
            case nil: break
            }
        case .cell(let table, let row, let column):
            try container.encode(table, forKey: .table)
            try container.encodeIfPresent(row, forKey: .row)
            try container.encodeIfPresent(column, forKey: .column)
        }
    }
}

extension JSONWriter {
    /// Writes the fields of a cursor into an open object.
    mutating func fields(_ location: CursorLocation) {
        switch location {
        case .text(let position, let selection, let text):
            key(of: CursorLocation.CodingKeys.position)
            value(position)
            if let selection {
                key(of: CursorLocation.CodingKeys.selection)
                beginObject()
                key(of: TextSelection.CodingKeys.start)
                value(selection.start)
                key(of: TextSelection.CodingKeys.end)
                value(selection.end)
                endObject()
            }
            switch text {
            case .own(let text): field(CursorLocation.CodingKeys.text, text)
            case .ofUser(let userID): field(CursorLocation.CodingKeys.textOf, userID)
            case nil: break
            }
        case .cell(let table, let row, let column):
            key(of: CursorLocation.CodingKeys.table)
            string(table)
            if let row {
                key(of: CursorLocation.CodingKeys.row)
                value(row)
            }
            if let column {
                key(of: CursorLocation.CodingKeys.column)
                string(column)
            }
        }
    }

    private mutating func value(_ position: TextPosition) {
        beginObject()
        key(of: TextPosition.CodingKeys.line)
        number(position.line)
        key(of: TextPosition.CodingKeys.column)
        number(position.column)
        endObject()
    }
}

extension CursorLocation: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.fields(self)
        writer.endObject()
    }
}

/// The text that contains a user's cursor. Each user writes only their own text; other users read it.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum CursorText: Sendable, Hashable {
    /// The user's own text, in its current state.
    case own(String)
    /// The text of another user, by the user's id.
    case ofUser(String)

    /// The maximum length of a shared text.
    public static let maxBytes = 16_384

    init?(_ data: JSONFields) throws(ProtocolError) {
        let own = try data.string(.text, maxBytes: Self.maxBytes)
        let owner = try data.string(.textOf, maxBytes: ClientMessage.maxIdentifierBytes)
        switch (own, owner) {
        case (nil, nil): return nil
        case (let own?, nil): self = .own(own)
        case (nil, let owner?): self = .ofUser(owner)
        case (_?, _?): throw data.failure(.textOf, "expected either this or text, found both")
        }
    }
}

extension CursorLocation {
    /// Bytes of the text that goes with the cursor.
    package var textByteCount: Int {
        if case .text(_, _, .own(let text)) = self { text.utf8.count } else { 0 }
    }

    /// Only the cursor.
    package var withoutText: CursorLocation {
        if case .text(let position, let selection, .own) = self { .text(position, selection: selection) } else { self }
    }
}
