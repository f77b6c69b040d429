/// Reads the fields of a client's message; errors contain the found and the expected value.
///
/// A null field counts as absent, as is usual for clients in JavaScript.
struct JSONFields {
    private let fields: [String: JSONValue]
    /// The path of the fields, for error messages: `data.` or nothing.
    let path: String

    init(_ fields: [String: JSONValue], path: String) {
        self.fields = fields
        self.path = path
    }

    /// - Parameter what: names the document in errors.
    init(parsing json: some Sequence<UInt8>, _ what: String) throws(ProtocolError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: json)
        } catch {
            throw ProtocolError(.invalidMessage, "\(what) is \(error)")
        }
        guard case .object(let fields) = value else {
            throw ProtocolError(.invalidMessage, "\(what): expected an object, found \(value.kind)")
        }
        self.init(fields, path: "")
    }

    /// Parses JSON in a query string.
    static func value(_ text: String, of name: ClientField) throws(ProtocolError) -> JSONValue {
        do {
            return try JSONValue(parsing: text.utf8)
        } catch {
            throw ProtocolError(.invalidMessage, "\(name.rawValue): expected JSON; \(quoted(text)) is \(error)")
        }
    }

    func value(_ name: ClientField) -> JSONValue? {
        guard let value = fields[name.rawValue], value != .null else { return nil }
        return value
    }

    func required<T>(_ value: T?, _ name: ClientField, _ expected: String) throws(ProtocolError) -> T {
        guard let value else { throw wrong(name, expected) }
        return value
    }

    func string(_ name: ClientField, maxBytes: Int) throws(ProtocolError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrong(name, "a string") }
        guard text.utf8.count <= maxBytes else {
            throw failure(name, "expected at most \(maxBytes) bytes, found \(text.utf8.count)")
        }
        return text
    }

    func strings(_ name: ClientField) throws(ProtocolError) -> [String]? {
        guard let value = value(name) else { return nil }
        guard case .array(let values) = value else { throw wrong(name, "an array of strings") }
        var strings: [String] = []
        for (index, value) in values.enumerated() {
            guard case .string(let text) = value else {
                throw failure(name, at: "[\(index)]", "expected a string, found \(value.kind)")
            }
            strings.append(text)
        }
        return strings
    }

    /// A non-negative integer.
    func count(_ name: ClientField) throws(ProtocolError) -> Int? {
        guard let value = value(name) else { return nil }
        switch value {
        case .integer(let number) where number >= 0: return Int(number)
        case .number(let number):
            if let whole = Int(exactly: number), whole >= 0 { return whole }
            throw wrong(name, "a non-negative integer")
        default: throw wrong(name, "a non-negative integer")
        }
    }

    func bool(_ name: ClientField) throws(ProtocolError) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let flag) = value else { throw wrong(name, "true or false") }
        return flag
    }

    func object(_ name: ClientField) throws(ProtocolError) -> JSONFields? {
        guard let value = value(name) else { return nil }
        guard case .object(let fields) = value else { throw wrong(name, "an object") }
        return JSONFields(fields, path: "\(path)\(name.rawValue).")
    }

    func objects(_ name: ClientField) throws(ProtocolError) -> [JSONFields]? {
        guard let value = value(name) else { return nil }
        guard case .array(let values) = value else { throw wrong(name, "an array of objects") }
        var objects: [JSONFields] = []
        for (index, value) in values.enumerated() {
            guard case .object(let fields) = value else {
                throw failure(name, at: "[\(index)]", "expected an object, found \(value.kind)")
            }
            objects.append(JSONFields(fields, path: "\(path)\(name.rawValue)[\(index)]."))
        }
        return objects
    }

    func choice<T: RawRepresentable & CaseIterable>(_ name: ClientField) throws(ProtocolError) -> T?
    where T.RawValue == String {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value, let choice = T(rawValue: text) else {
            throw wrong(name, "one of \(T.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
        }
        return choice
    }

    /// Runs `body`, and prefixes its error with the field's name.
    func within<T>(_ name: ClientField, _ body: () throws(ProtocolError) -> T) throws(ProtocolError) -> T {
        do {
            return try body()
        } catch {
            throw ProtocolError(error.code, "\(path)\(name.rawValue): \(error.message)")
        }
    }

    func wrong(_ name: ClientField, _ expected: String) -> ProtocolError {
        failure(name, "expected \(expected), found \(fields[name.rawValue]?.kind ?? "nothing")")
    }

    /// - Parameter place: the part of the field's value, such as `[0]` or `.name`.
    func failure(_ name: ClientField, at place: String = "", _ reason: String) -> ProtocolError {
        ProtocolError(.invalidMessage, "\(path)\(name.rawValue)\(place): \(reason)")
    }
}
