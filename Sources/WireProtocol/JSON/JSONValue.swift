/// Any JSON value: the `data` of an application's own messages, and the form in which a client's message is read.
///
/// Integers that fit are ``integer(_:)``, everything with a point or an exponent is ``number(_:)``: `1` and `1.0` are
/// an INTEGER and a REAL for SQLite.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Finite.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// Parses one JSON text in UTF-8.
    ///
    /// - Parameters:
    ///   - json: the bytes of the whole text.
    ///   - rejectingDuplicateNames: whether an object with two fields of the same name is an error; otherwise the last
    ///     one wins. Where a field is a restriction, a duplicate is a mistake that must be reported.
    public init(
        parsing json: some Sequence<UInt8>,
        rejectingDuplicateNames: Bool = false
    ) throws(JSONParsingError) {
        let result = json.withContiguousStorageIfAvailable { bytes in
            Self.parse(UnsafeRawBufferPointer(bytes), rejectingDuplicateNames)
        }
        if let result {
            self = try result.get()
        } else {
            self = try Array(json).withUnsafeBytes { Self.parse($0, rejectingDuplicateNames) }.get()
        }
    }

    public init(parsing json: String) throws(JSONParsingError) { try self.init(parsing: json.utf8) }

    private static func parse(
        _ bytes: UnsafeRawBufferPointer,
        _ rejectsDuplicateNames: Bool
    ) -> Result<JSONValue, JSONParsingError> {
        var parser = JSONParser(bytes, rejectsDuplicateNames: rejectsDuplicateNames)
        return Result { () throws(JSONParsingError) in try parser.parse() }
    }

    /// The kind and value, for an error message: `the number 5`, `an array`.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "the number \(value)"
        case .number(let value): "the number \(value)"
        case .string(let value): "the string \(quoted(value))"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension JSONWriter {
    /// The keys of objects are written in order, so that equal values have equal bytes.
    package mutating func value(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let value): bool(value)
        case .integer(let value): number(value)
        case .number(let value): number(value)
        case .string(let value): string(value)
        case .array(let values):
            beginArray()
            for value in values { self.value(value) }
            endArray()
        case .object(let fields):
            beginObject()
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
                key(escaping: name)
                self.value(value)
            }
            endObject()
        }
    }
}

extension JSONValue: Codable {
    public init(from decoder: any Decoder) throws {
        if let decoder = decoder as? JSONValueDecoder {
            self = decoder.value
            return
        }
        if let container = try? decoder.container(keyedBy: AnyCodingKey.self) {
            var fields: [String: JSONValue] = [:]
            for key in container.allKeys { fields[key.stringValue] = try container.decode(JSONValue.self, forKey: key) }
            self = .object(fields)
            return
        }
        if var container = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !container.isAtEnd { values.append(try container.decode(JSONValue.self)) }
            self = .array(values)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .array(let values):
            var container = encoder.unkeyedContainer()
            for value in values { try container.encode(value) }
        case .object(let fields):
            var container = encoder.container(keyedBy: AnyCodingKey.self)
            for (name, value) in fields { try container.encode(value, forKey: AnyCodingKey(name)) }
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .integer(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .number(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .string(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        }
    }
}

/// The name of a field that is known only at run time.
struct AnyCodingKey: CodingKey {
    let stringValue: String

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
    var intValue: Int? { nil }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// Precondition: the number is finite.
    public init(floatLiteral value: Double) {
        precondition(value.isFinite, "JSON has no \(value)")
        self = .number(value)
    }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
}

extension JSONValue: JSONWritable {
    package func write(to writer: inout JSONWriter) { writer.value(self) }
}
