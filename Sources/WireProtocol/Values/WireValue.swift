/// A database value in its transport form: the five storage classes of SQLite, and TEXT that is not UTF-8.
///
/// | value | JSON |
/// | --- | --- |
/// | NULL, TEXT, finite REAL | as themselves |
/// | INTEGER | a number within ±(2^53 − 1), else `{"$int64":"9223372036854775807"}` |
/// | BLOB | `{"$base64":"…"}` |
/// | infinite REAL | `{"$real":"Infinity"}`, `{"$real":"-Infinity"}` |
/// | TEXT that is not UTF-8 | `{"$text":"<base64>"}` |
///
/// A number with a point or an exponent is a REAL. Encoding with `JSONEncoder`, which writes `1.0` as `1`, loses that.
public enum WireValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    /// The bytes of TEXT that is not UTF-8.
    case malformedText([UInt8])
    case blob([UInt8])

    /// Reads the JSON form. `true` and `false` are 1 and 0, as in SQL.
    public init(_ json: JSONValue) throws(WireValueError) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .integer(value ? 1 : 0)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .real(value)
        case .string(let value): self = .text(value)
        case .array: throw WireValueError(json)
        case .object(let fields): self = try Self.tagged(fields)
        }
    }

    private static func tagged(_ fields: [String: JSONValue]) throws(WireValueError) -> WireValue {
        guard fields.count == 1, let (tag, content) = fields.first, case .string(let text) = content else {
            throw WireValueError(.object(fields))
        }
        switch tag {
        case "$int64": if let value = Int64(text) { return .integer(value) }
        case "$base64": if let bytes = Base64.decode(text) { return .blob(bytes) }
        case "$text":
            if let bytes = Base64.decode(text) {
                return String(validating: bytes, as: UTF8.self).map { .text($0) } ?? .malformedText(bytes)
            }
        case "$real":
            if text == "Infinity" { return .real(.infinity) }
            if text == "-Infinity" { return .real(-.infinity) }
        default: throw WireValueError(.object(fields))
        }
        throw WireValueError(found: "\(quoted(text)) in {\"\(tag)\":…}")
    }

    /// The JSON form.
    package var json: JSONValue {
        switch self {
        case .null: .null
        case .integer(let value):
            value.magnitude <= UInt64(JSONWriter.maxExactInteger)
                ? .integer(value) : .object(["$int64": .string(String(value))])
        case .real(let value):
            if value.isFinite {
                .number(value)
            } else if value.isNaN {
                .null
            } else {
                .object(["$real": value < 0 ? "-Infinity" : "Infinity"])
            }
        case .text(let value): .string(value)
        case .malformedText(let bytes): .object(["$text": .string(Base64.encode(bytes))])
        case .blob(let bytes): .object(["$base64": .string(Base64.encode(bytes))])
        }
    }
}

/// A JSON value that represents no value of SQLite.
public struct WireValueError: Error, Sendable, Hashable, CustomStringConvertible {
    private let found: String

    init(_ json: JSONValue) { found = json.kind }
    init(found: String) { self.found = found }

    public var description: String {
        "expected null, a number, a string, true, false or {\"$int64\"|\"$base64\"|\"$real\"|\"$text\": \"…\"}, found \(found)"
    }
}

extension WireValue {
    /// TEXT is compared by its bytes, as SQLite does: `é` in one character and in two are different values, which Swift's
    /// strings treat as equal.
    public static func == (left: WireValue, right: WireValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.integer(let left), .integer(let right)): left == right
        case (.real(let left), .real(let right)): left == right
        case (.text(let left), .text(let right)): left.utf8.elementsEqual(right.utf8)
        case (.malformedText(let left), .malformedText(let right)): left == right
        case (.blob(let left), .blob(let right)): left == right
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .integer(let value): hasher.combine(value)
        case .real(let value): hasher.combine(value)
        case .text(var value): value.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        case .blob(let bytes), .malformedText(let bytes): hasher.combine(bytes)
        }
    }
}

extension WireValue: Codable {
    public init(from decoder: any Decoder) throws {
        do {
            try self.init(JSONValue(from: decoder))
        } catch let error as WireValueError {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description)
            )
        }
    }

    public func encode(to encoder: any Encoder) throws { try json.encode(to: encoder) }
}

extension JSONWriter {
    package mutating func value(_ value: WireValue) {
        switch value {
        case .null: null()
        case .integer(let value): integer(value)
        case .real(let value): real(value)
        case .text(let value): string(value)
        case .malformedText(let bytes): bytes.withUnsafeBytes { text($0) }
        case .blob(let bytes): bytes.withUnsafeBytes { blob($0) }
        }
    }

    package mutating func object(_ fields: [String: WireValue]) {
        beginObject()
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
            key(escaping: name)
            self.value(value)
        }
        endObject()
    }
}

/// A row of a result or of a snapshot, in either of the forms that a client can choose.
public enum WireRow: Sendable, Hashable {
    /// `rowFormat` `objects`: values by the name of their column. The order of columns is in the message's `columns`.
    case object([String: WireValue])
    /// `rowFormat` `arrays`: values in the order of the message's `columns`.
    case array([WireValue])

    /// The values in the order of `columns`; NULL when an object lacks one.
    public func values(columns: [String]) -> [WireValue] {
        switch self {
        case .object(let fields): columns.map { fields[$0] ?? .null }
        case .array(let values): values
        }
    }
}

extension WireRow: Codable {
    public init(from decoder: any Decoder) throws {
        if let values = try? [WireValue](from: decoder) {
            self = .array(values)
        } else {
            self = .object(try [String: WireValue](from: decoder))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let fields): try fields.encode(to: encoder)
        case .array(let values): try values.encode(to: encoder)
        }
    }
}

extension JSONWriter {
    package mutating func row(_ row: WireRow) {
        switch row {
        case .object(let fields): object(fields)
        case .array(let values):
            beginArray()
            for value in values { self.value(value) }
            endArray()
        }
    }
}

/// A rowid, which can lie beyond ±2^53 like any other INTEGER.
struct WireInteger: Sendable, Hashable, Codable {
    let value: Int64

    init(_ value: Int64) { self.value = value }

    init(from decoder: any Decoder) throws {
        guard case .integer(let value) = try WireValue(from: decoder) else {
            let context = DecodingError.Context(
                codingPath: decoder.codingPath,
                debugDescription: "expected a whole number or {\"$int64\": \"…\"}"
            )
            throw DecodingError.dataCorrupted(context)
        }
        self.value = value
    }

    func encode(to encoder: any Encoder) throws { try WireValue.integer(value).encode(to: encoder) }
}

/// The column names of a result as the fields of an object.
public enum ResultColumns {
    /// The names, made unique: of several columns with the same name the first keeps it, the next become `n:1`, `n:2`
    /// and so on, as SQLite itself names the columns of a subquery. Names of other columns are skipped.
    public static func uniqueNames(_ names: [String]) -> [String] {
        // A short list is compared in less time than it is hashed.
        if names.count <= 8, names.indices.allSatisfy({ !names[..<$0].contains(names[$0]) }) { return names }
        var taken = Set(names)
        guard taken.count < names.count else { return names }
        var seen: Set<String> = []
        var lastNumbers: [String: Int] = [:]
        return names.map { name in
            if seen.insert(name).inserted { return name }
            var number = lastNumbers[name] ?? 0
            // The name is used by the first column with it.
            var unique = name
            while !taken.insert(unique).inserted {
                number += 1
                unique = "\(name):\(number)"
            }
            lastNumbers[name] = number
            return unique
        }
    }
}
