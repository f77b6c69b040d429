import ArgumentParser
import WireProtocol

/// A parameter on the command line: `5`, `1.5`, `NULL`, `x'00ff'`, `'5'`, or text as it is; `:name=5` where it has a name.
struct ParameterArgument: ExpressibleByArgument, Sendable, Hashable {
    /// With its `:`, `@` or `$`; nil for a positional one.
    var name: String?
    var value: JSONValue

    init?(argument: String) {
        if let first = argument.first, ":@$".contains(first), let equals = argument.firstIndex(of: "=") {
            name = String(argument[..<equals])
            guard argument.index(after: argument.startIndex) < equals else { return nil }
            value = Self.value(argument[argument.index(after: equals)...])
        } else {
            value = Self.value(argument[...])
        }
    }

    private static func value(_ text: Substring) -> JSONValue {
        if text.uppercased() == "NULL" { return .null }
        if let integer = Int64(text) {
            // Beyond what every JSON reader keeps exact, the protocol has a form of its own.
            return integer.magnitude < 1 << 53 ? .integer(integer) : ["$int64": .string(String(integer))]
        }
        if let first = text.first, first.isNumber || "+-.".contains(first), let real = Double(text), real.isFinite {
            return .number(real)
        }
        if text.count >= 2, text.first == "'", text.last == "'" {
            let content = text.dropFirst().dropLast()
            return .string(content.split(separator: "''", omittingEmptySubsequences: false).joined(separator: "'"))
        }
        if let bytes = blob(text) { return ["$base64": .string(Base64.encode(bytes))] }
        return .string(String(text))
    }

    private static func blob(_ text: Substring) -> [UInt8]? {
        guard text.count >= 3, text.first == "x" || text.first == "X", text.last == "'" else { return nil }
        let digits = Array(text.dropFirst())
        guard digits.first == "'", digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 1, to: digits.count - 1, by: 2) {
            guard let high = digits[index].hexDigitValue, let low = digits[index + 1].hexDigitValue else { return nil }
            bytes.append(UInt8(high * 16 + low))
        }
        return bytes
    }

    /// The `params` of a request: an array or an object, nil where there are none.
    static func json(_ parameters: [ParameterArgument]) throws(ValidationError) -> JSONValue? {
        guard !parameters.isEmpty else { return nil }
        let named = parameters.compactMap { parameter in parameter.name.map { ($0, parameter.value) } }
        if named.isEmpty { return .array(parameters.map(\.value)) }
        guard named.count == parameters.count else {
            throw ValidationError("--param: either all parameters have a name (:name=value) or none has.")
        }
        return .object(Dictionary(named) { _, last in last })
    }
}
