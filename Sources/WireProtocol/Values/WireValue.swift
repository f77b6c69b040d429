/// A value of the database as it travels: the five storage classes of SQLite, and TEXT that is not UTF-8.
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
    var json: JSONValue {
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

/// A JSON value that stands for no value of SQLite.
public struct WireValueError: Error, Sendable, Hashable, CustomStringConvertible {
    private let found: String

    init(_ json: JSONValue) { found = json.kind }
    init(found: String) { self.found = found }

    public var description: String {
        "expected null, a number, a string, true, false or {\"$int64\"|\"$base64\"|\"$real\"|\"$text\": \"…\"}, found \(found)"
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
