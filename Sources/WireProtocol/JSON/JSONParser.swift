/// Why a text is not JSON.
public struct JSONParsingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The byte offset at which parsing stopped, from 0.
    public var offset: Int
    public var reason: String
    /// The text may be JSON, but is nested too deeply.
    public var isTooDeep = false
    /// The text may be JSON, but an object has two fields with the same name.
    public var isDuplicateName = false

    public var description: String {
        if isTooDeep { return "\(reason), which is the limit, at byte \(offset)" }
        return isDuplicateName ? "\(reason) at byte \(offset)" : "not JSON at byte \(offset): \(reason)"
    }
}

/// A strict parser of one JSON text in borrowed bytes. The depth is limited, so that no text can exhaust the stack.
///
/// Source: [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259).
struct JSONParser {
    static let maxDepth = 64

    private let bytes: UnsafeRawBufferPointer
    private let rejectsDuplicateNames: Bool
    private var index = 0

    /// - Parameter rejectsDuplicateNames: whether an object with two fields of the same name is an error; otherwise the
    ///   last one wins.
    init(_ bytes: UnsafeRawBufferPointer, rejectsDuplicateNames: Bool = false) {
        self.bytes = bytes
        self.rejectsDuplicateNames = rejectsDuplicateNames
    }

    mutating func parse() throws(JSONParsingError) -> JSONValue {
        let value = try parseValue(depth: 0)
        skipSpace()
        guard index == bytes.count else { throw failure("expected the end, found \(found)") }
        return value
    }

    private mutating func parseValue(depth: Int) throws(JSONParsingError) -> JSONValue {
        guard depth < Self.maxDepth else {
            var error = failure("nested deeper than \(Self.maxDepth) levels")
            error.isTooDeep = true
            throw error
        }
        skipSpace()
        guard let byte = peek else { throw failure("expected a value, found the end") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try parseObject(depth: depth))
        case UInt8(ascii: "["): return .array(try parseArray(depth: depth))
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: throw failure("expected a value, found \(found)")
        }
    }

    private mutating func parseObject(depth: Int) throws(JSONParsingError) -> [String: JSONValue] {
        index += 1
        var fields: [String: JSONValue] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return fields }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw failure("expected a field's name in quotes, found \(found)") }
            let start = index
            let name = try parseString()
            if rejectsDuplicateNames, fields[name] != nil { throw duplicate(name, at: start) }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw failure("expected a colon, found \(found)") }
            fields[name] = try parseValue(depth: depth + 1)
            skipSpace()
            if take(UInt8(ascii: "}")) { return fields }
            guard take(UInt8(ascii: ",")) else { throw failure("expected a comma or }, found \(found)") }
        }
    }

    private mutating func parseArray(depth: Int) throws(JSONParsingError) -> [JSONValue] {
        index += 1
        var values: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return values }
        while true {
            values.append(try parseValue(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return values }
            guard take(UInt8(ascii: ",")) else { throw failure("expected a comma or ], found \(found)") }
        }
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(JSONParsingError) -> JSONValue {
        for offset in 0..<word.utf8CodeUnitCount {
            guard take(word.utf8Start[offset]) else { throw failure("expected \(word), found \(found)") }
        }
        return value
    }

    private mutating func parseNumber() throws(JSONParsingError) -> JSONValue {
        let start = index
        var isWhole = true
        _ = take(UInt8(ascii: "-"))
        let firstDigit = peek
        try skipDigits()
        if firstDigit == UInt8(ascii: "0"), index - start > (bytes[start] == UInt8(ascii: "-") ? 2 : 1) {
            throw failure("a number must not begin with 0")
        }
        if take(UInt8(ascii: ".")) {
            isWhole = false
            try skipDigits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isWhole = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try skipDigits()
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw failure("the number does not fit a double") }
        return .number(value)
    }

    private mutating func skipDigits() throws(JSONParsingError) {
        let start = index
        while let byte = peek, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { index += 1 }
        guard index > start else { throw failure("expected a digit, found \(found)") }
    }

    // MARK: Reading bytes

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        index += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private var found: String {
        guard let byte = peek else { return "the end" }
        return (0x21..<0x7F).contains(byte) ? String(UnicodeScalar(byte)) : "byte 0x\(String(byte, radix: 16))"
    }

    private func duplicate(_ name: String, at offset: Int) -> JSONParsingError {
        var error = JSONParsingError(offset: offset, reason: "duplicate field \(quoted(name))")
        error.isDuplicateName = true
        return error
    }

    private func failure(_ reason: String) -> JSONParsingError { JSONParsingError(offset: index, reason: reason) }
}

extension JSONParser {
    private mutating func parseString() throws(JSONParsingError) -> String {
        index += 1
        let start = index
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { index += 1 }
        if take(UInt8(ascii: "\"")) { return try string(bytes[start..<(index - 1)]) }
        var unescaped = Array(bytes[start..<index])
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return try string(unescaped)
            case UInt8(ascii: "\\"):
                index += 1
                try parseEscape(into: &unescaped)
            case 0..<0x20:
                throw failure("a control character in a string must be escaped, found \(found)")
            default:
                index += 1
                unescaped.append(byte)
            }
        }
        throw failure("the string does not end")
    }

    private func string(_ utf8: some Sequence<UInt8>) throws(JSONParsingError) -> String {
        guard let text = String(validating: utf8, as: UTF8.self) else { throw failure("the string is not UTF-8") }
        return text
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws(JSONParsingError) {
        let escape = peek
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape ?? 0)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            index += 1
            return text.append(contentsOf: UTF8.encode(try parseScalar()) ?? UTF8.encodedReplacementCharacter)
        default: throw failure("unknown escape \\\(found)")
        }
        index += 1
    }

    private mutating func parseScalar() throws(JSONParsingError) -> Unicode.Scalar {
        var code = try parseHex()
        if 0xD800..<0xDC00 ~= code {
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")), case let low = try parseHex(),
                0xDC00..<0xE000 ~= low
            else { throw failure("half a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
        return scalar
    }

    private mutating func parseHex() throws(JSONParsingError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 0x80 else {
                throw failure("expected four hexadecimal digits, found \(found)")
            }
            value = value << 4 | UInt32(digit)
            index += 1
        }
        return value
    }
}
