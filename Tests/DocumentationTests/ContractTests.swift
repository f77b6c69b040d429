import Foundation
import Testing
import Yams

@testable import WireProtocol

/// The messages in the AsyncAPI document against the types that write and read them: neither side may have a field that the
/// other lacks. `Tests/Browser/test_types.py` holds `tablecast.d.ts` against the same document.
struct ContractTests {
    /// Their data have no payload type: applications define some, and clients show the others.
    private static let withoutPayload: Set<String> = [
        "an application-defined type", "database:gone", "database:back", "database:epoch", "database:notice",
    ]

    private static let messages = messages(of: "sendToClient").filter { !withoutPayload.contains($0.key) }
    private static let clientMessages = messages(of: "receiveFromClient")

    /// The payloads of an operation's messages, by type. Empty if they are not found, which makes a test fail.
    private static func messages(of operation: String) -> [String: JSONValue] {
        (try? Contract().messages(of: operation)) ?? [:]
    }

    @Test func `every message of the server has a payload type`() throws {
        let source = try Page("Sources/WireProtocol/Server/ServerPayload.swift").text
        let cases = source.matches(of: /\bcase ([a-zA-Z]+)\([A-Z][A-Za-z]+Payload\)/).count
        #expect(Self.messages.count == cases)
    }

    @Test(arguments: messages.keys.sorted())
    func `a payload type reads and writes every field of the contract`(type: String) throws {
        let contract = try Contract()
        for sample in try contract.samples(of: Self.messages[type] ?? .null, complete: true) {
            let message = try Envelope(parsing: sample.text.utf8)
            let fields = sample.paths
            #expect(try JSONValue(parsing: message.json).paths == fields, "as the service writes it")
            #expect(try JSONValue(parsing: JSONEncoder().encode(message)).paths == fields, "as Swift encodes it")
        }
    }

    @Test(arguments: messages.keys.sorted())
    func `a payload type has no field beyond the contract`(type: String) throws {
        let contract = try Contract()
        var missing: Set<String>?
        for sample in try contract.samples(of: Self.messages[type] ?? .null, complete: true) {
            let message = try Envelope(parsing: sample.text.utf8)
            let absent = Self.absentFields(of: message.payload)
            // What excludes each other is in several samples.
            missing = missing.map { $0.intersection(absent) } ?? absent
        }
        #expect(missing == [])
    }

    @Test(arguments: messages.keys.sorted())
    func `a payload type requires no field that the contract leaves out`(type: String) throws {
        let contract = try Contract()
        for sample in try contract.samples(of: Self.messages[type] ?? .null, complete: false) {
            #expect(throws: Never.self, "\(sample.text)") { try Envelope(parsing: sample.text.utf8) }
        }
    }

    // MARK: Messages of clients

    @Test func `the contract describes every message that a client can send`() {
        #expect(Set(Self.clientMessages.keys) == Set(MessageType.clientTypes.map(\.rawValue)))
    }

    @Test(arguments: clientMessages.keys.sorted())
    func `a client's message requires no field that the contract leaves out`(type: String) throws {
        for sample in try Contract().samples(of: Self.clientMessages[type] ?? .null, complete: false) {
            let message = try ClientMessage(parsing: sample.text.utf8)
            #expect(message.type.rawValue == type)
            #expect(try ClientMessage(parsing: message.json.utf8) == message)
        }
    }

    /// A field that is read is one whose wrong value is reported.
    @Test(arguments: clientMessages.keys.sorted())
    func `every field of a client's message is read`(type: String) throws {
        for (field, sample) in try Contract().samples(withWrongFieldOf: Self.clientMessages[type] ?? .null) {
            let error = #expect(throws: ProtocolError.self, "\(field) of \(sample.text)") {
                try ClientMessage(parsing: sample.text.utf8)
            }
            #expect(error?.message.contains(field) == true, "\(error?.message ?? "") names \(field) of \(sample.text)")
        }
    }

    @Test func `no field of clients' messages is beyond the contract`() throws {
        let contract = try Contract()
        let described = Self.clientMessages.values.reduce(into: Set<String>()) { $0.formUnion(contract.fields(of: $1)) }
        // Only relays send it, in a form of their own.
        #expect(Set(ClientField.allCases.map(\.rawValue)).subtracting(described).subtracting(["relay"]) == [])
    }

    /// The optional properties that have no value, at any depth.
    private static func absentFields(of value: Any, at path: String = "") -> Set<String> {
        var absent: Set<String> = []
        if value is JSONValue || value is WireValue || value is WireRow { return [] }
        let mirror = Mirror(reflecting: value)
        if mirror.displayStyle == .optional {
            guard let (_, wrapped) = mirror.children.first else { return [path] }
            return absentFields(of: wrapped, at: path)
        }
        // Only the fields of types of the protocol.
        guard [.struct, .enum, .collection, .tuple].contains(mirror.displayStyle) else { return [] }
        for child in mirror.children {
            absent.formUnion(absentFields(of: child.value, at: path + (child.label.map { "/\($0)" } ?? "")))
        }
        return absent
    }
}

/// The AsyncAPI document, as far as JSON Schema is used in it.
private struct Contract {
    private let document: JSONValue

    init() throws {
        let text = try Page("Sources/TablecastHummingbird/Contract/asyncapi.yaml").text
        document = JSONValue(yaml: try #require(try Yams.load(yaml: text)))
    }

    /// The payloads of an operation's messages, by type.
    func messages(of operation: String) -> [String: JSONValue] {
        var found: [String: JSONValue] = [:]
        for reference in document["operations"][operation]["messages"].elements {
            let message = resolve(resolve(reference))
            guard case .string(let name) = message["name"] else { continue }
            found[name] = message["payload"]
        }
        return found
    }

    private func resolve(_ schema: JSONValue) -> JSONValue {
        guard case .string(let reference) = schema["$ref"] else { return schema }
        let target = reference.dropFirst(2).split(separator: "/").reduce(document) { $0[String($1)] }
        return resolve(target)
    }

    /// A schema with everything that it refers to and consists of.
    private func parts(of schema: JSONValue) -> [JSONValue] {
        let resolved = resolve(schema)
        // What only some values must have is no field of its own.
        return resolved["allOf"].elements.filter { $0["if"] == .null }.flatMap { parts(of: $0) } + [resolved]
    }

    /// Values of the schema: one for each alternative of the outermost objects.
    ///
    /// - Parameter complete: whether they have all fields, or only those that are required.
    func samples(of schema: JSONValue, complete: Bool) throws -> [JSONValue] {
        samples(of: parts(of: schema), complete, isNested: false)
    }

    private func samples(of parts: [JSONValue], _ complete: Bool, isNested: Bool) -> [JSONValue] {
        for (index, part) in parts.enumerated() where !part["oneOf"].elements.isEmpty {
            var others = parts
            others[index] = part.without("oneOf")
            let alternatives = part["oneOf"].elements.filter { resolve($0)["type"] != .string("null") }
            return (isNested ? Array(alternatives.prefix(1)) : alternatives).flatMap { alternative in
                samples(of: others + self.parts(of: alternative), complete, isNested: isNested)
            }
        }
        func first(_ key: String) -> JSONValue? { parts.lazy.map { $0[key] }.first { $0 != .null } }
        if let constant = first("const") { return [constant] }
        if let choice = first("enum")?.elements.first { return [choice] }
        if parts.contains(where: { $0["properties"] != .null }) {
            return objects(of: parts, complete, isNested: isNested)
        }
        var type = first("type")
        if case .array(let types)? = type { type = types.first }
        switch type {
        case .string("object"):
            guard let value = first("additionalProperties") else { return [.object([:])] }
            return samples(of: self.parts(of: value), complete, isNested: true).prefix(1).map { .object(["k": $0]) }
        case .string("array"):
            return samples(of: self.parts(of: first("items") ?? .null), complete, isNested: true).prefix(1)
                .map { .array([$0]) }
        case .string("integer"), .string("number"): return [.integer(2)]
        case .string("boolean"): return [.bool(true)]
        default: return [.string(first("pattern") == nil ? "x" : "e:1")]
        }
    }

    /// For each field at any depth an otherwise valid value in which only this field is wrong, with the field's name.
    func samples(withWrongFieldOf schema: JSONValue) throws -> [(field: String, sample: JSONValue)] {
        wrongSamples(of: parts(of: schema))
    }

    private func wrongSamples(of parts: [JSONValue]) -> [(field: String, sample: JSONValue)] {
        guard case .object(var valid)? = samples(of: parts, false, isNested: true).first else { return [] }
        // The only channel whose subscriptions have fields.
        if valid["channel"] != nil { valid["channel"] = .string("tables") }
        var found: [(field: String, sample: JSONValue)] = []
        for (name, schema) in properties(of: parts) where !schema.contains(where: { $0["const"] != .null }) {
            let kinds = Set(
                (schema + alternatives(of: schema)).map { $0["properties"] == .null ? $0["type"] : "object" }
            )
            // Any field refuses one of them.
            let wrong: JSONValue =
                if !kinds.contains("object") { .object([:]) } else if !kinds.contains("array") { .array([]) } else {
                    true
                }
            // A cell excludes a place in a text.
            let isCell = isCursor(parts) && ["table", "row", "column"].contains(name)
            let valid = isCell ? ["table": "x", "row": 1, "column": "x"] : valid
            found.append((name, .object(valid.merging([name: wrong]) { $1 })))
            for (field, value) in wrongSamples(of: schema) {
                found.append((field, .object(valid.merging([name: value]) { $1 })))
            }
            for (field, value) in wrongSamples(of: schema.flatMap { self.parts(of: $0["items"]) }) {
                found.append((field, .object(valid.merging([name: .array([value])]) { $1 })))
            }
        }
        return found
    }

    /// The names of all fields of a schema at any depth.
    func fields(of schema: JSONValue) -> Set<String> { fields(of: parts(of: schema)) }

    private func fields(of parts: [JSONValue]) -> Set<String> {
        properties(of: parts).reduce(into: []) { found, property in
            found.insert(property.name)
            found.formUnion(fields(of: property.schema))
            found.formUnion(fields(of: property.schema.flatMap { self.parts(of: $0["items"]) }))
        }
    }

    private func isCursor(_ parts: [JSONValue]) -> Bool { parts.contains { !$0["anyOf"].elements.isEmpty } }

    private func alternatives(of parts: [JSONValue]) -> [JSONValue] {
        parts.flatMap { $0["oneOf"].elements.flatMap { self.parts(of: $0) } }
    }

    private func properties(of parts: [JSONValue]) -> [(name: String, schema: [JSONValue])] {
        var schemas: [String: [JSONValue]] = [:]
        for part in parts + alternatives(of: parts) {
            guard case .object(let properties) = part["properties"] else { continue }
            for (name, schema) in properties { schemas[name, default: []] += self.parts(of: schema) }
        }
        return schemas.map { ($0.key, $0.value) }
    }

    private func objects(of parts: [JSONValue], _ complete: Bool, isNested: Bool) -> [JSONValue] {
        let required = Set(parts.flatMap { $0["required"].elements })
        let isCursor = isCursor(parts)
        var objects: [[String: JSONValue]] = [[:]]
        for (name, schema) in properties(of: parts) {
            let isRequired = required.contains(.string(name)) || isCursor && name == "position"
            guard complete || isRequired else { continue }
            let isData = name == "data"
            let values = samples(of: schema, complete, isNested: isNested || !isData)
            objects = values.flatMap { value in objects.map { $0.merging([name: value]) { $1 } } }
        }
        guard isCursor, complete else { return objects.map { .object($0) } }
        // A place in a text, the sender's own or another user's; or a cell.
        let cell = ["table", "row", "column"]
        let excluded = [cell + ["textOf"], cell + ["text"], ["position", "selection", "text", "textOf"]]
        return (isNested ? Array(excluded.prefix(1)) : excluded).flatMap { names in
            objects.map { .object($0.filter { !names.contains($0.key) }) }
        }
    }
}

extension JSONValue {
    fileprivate init(yaml: Any) {
        switch yaml {
        case let value as Bool: self = .bool(value)
        case let value as Int: self = .integer(Int64(value))
        case let value as Double: self = .number(value)
        case let value as String: self = .string(value)
        case let values as [Any]: self = .array(values.map { JSONValue(yaml: $0) })
        case let values as [AnyHashable: Any]:
            self = .object(
                Dictionary(values.map { ("\($0.key)", JSONValue(yaml: $0.value)) }) { $1 }
            )
        default: self = .null
        }
    }

    /// Null for what is not there.
    fileprivate subscript(key: String) -> JSONValue {
        if case .object(let fields) = self { fields[key] ?? .null } else { .null }
    }

    fileprivate func without(_ key: String) -> JSONValue {
        if case .object(let fields) = self { .object(fields.filter { $0.key != key }) } else { self }
    }

    fileprivate var elements: [JSONValue] { if case .array(let values) = self { values } else { [] } }

    /// The names of all fields at any depth, with those that they are in.
    fileprivate var paths: Set<String> {
        switch self {
        case .object(let fields):
            Set(fields.flatMap { name, value in [name] + value.paths.map { "\(name)/\($0)" } })
        case .array(let values): Set(values.flatMap { $0.paths })
        default: []
        }
    }

    fileprivate var text: String {
        // A sample contains nothing that JSON lacks.
        (try? JSONEncoder().encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
