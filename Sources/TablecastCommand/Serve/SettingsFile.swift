import Configuration
import Foundation
import SystemPackage
import WireProtocol
import Yams

/// A settings file, JSON or YAML, whose keys are all known.
struct SettingsFile {
    let path: String
    let reader: ConfigReader
    /// The keys of its values, each as a path from the top.
    let keys: Set<[String]>

    /// - Parameter paths: every key that the file may contain.
    /// - Throws: ``CommandFailure`` for a file that cannot be read, and for an unknown key: a misspelt one must not be
    ///   ignored silently.
    init(_ path: String, paths: Set<[String]>) async throws {
        self.path = path
        do {
            keys = try Self.keys(in: path, paths)
            if Self.isYAML(path) {
                reader = ConfigReader(provider: try await FileProvider<YAMLSnapshot>(filePath: FilePath(path)))
            } else {
                reader = ConfigReader(provider: try await FileProvider<JSONSnapshot>(filePath: FilePath(path)))
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.usage, "'\(path)' cannot be read: \(error)", advice: Self.advice)
        }
    }

    /// The error for a value of another type than its key has.
    func mistyped(_ key: [String], _ kind: ServeSettings.Kind) -> CommandFailure {
        let expectation =
            switch kind {
            case .flag: "true or false"
            case .value: "a text or a whole number"
            case .list: "a list of texts"
            }
        return CommandFailure(.usage, "'\(path)': '\(key.joined(separator: "."))' is not \(expectation)")
    }

    private static let advice = "Expected JSON or YAML such as {\"port\": 8080, \"tokens\": \"tokens.json\"}."

    private static func isYAML(_ file: String) -> Bool { file.hasSuffix(".yaml") || file.hasSuffix(".yml") }

    private static func keys(in file: String, _ paths: Set<[String]>) throws -> Set<[String]> {
        let bytes = try FileText.bytes(of: file, "the settings file")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.usage, "'\(file)' is not UTF-8", advice: advice)
        }
        let keys: Set<[String]>
        if isYAML(file) {
            // An empty file has no node.
            guard let node = try Yams.compose(yaml: text) else { return [] }
            guard node.mapping != nil else {
                throw CommandFailure(.usage, "'\(file)' is not a YAML mapping", advice: advice)
            }
            keys = Self.keys(of: node)
        } else {
            guard case .object(let object) = try JSONValue(parsing: Array(text.utf8)) else {
                throw CommandFailure(.usage, "'\(file)' is not a JSON object", advice: advice)
            }
            keys = Self.keys(of: .object(object))
        }
        if let key = keys.subtracting(paths).map({ $0.joined(separator: ".") }).min() {
            throw CommandFailure(.usage, "'\(file)': unknown setting '\(key)'", advice: expectation(for: key, paths))
        }
        return keys
    }

    /// The known keys beside an unknown one.
    private static func expectation(for key: String, _ paths: Set<[String]>) -> String {
        let isLimit = key.hasPrefix("limits.")
        let owner = key.split(separator: ".").prefix(2).joined(separator: ".") + "."
        let known = paths.map { $0.joined(separator: ".") }.filter { $0.hasPrefix("limits.") == isLimit }
        let related = known.filter { $0.hasPrefix(owner) }
        let expected = (related.isEmpty ? known : related) + (isLimit ? [] : ["limits"])
        return "Expected one of \(expected.sorted().joined(separator: ", "))."
    }

    private static func keys(of value: JSONValue, at path: [String] = []) -> Set<[String]> {
        guard case .object(let fields) = value, !fields.isEmpty else { return [path] }
        return fields.reduce(into: []) { $0.formUnion(keys(of: $1.value, at: path + [$1.key])) }
    }

    private static func keys(of node: Node, at path: [String] = []) -> Set<[String]> {
        guard let mapping = node.mapping, !mapping.isEmpty else { return [path] }
        return mapping.reduce(into: []) { $0.formUnion(keys(of: $1.value, at: path + [$1.key.string ?? "?"])) }
    }
}
