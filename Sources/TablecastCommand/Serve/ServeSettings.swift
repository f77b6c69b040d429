import Configuration
import Foundation
import SystemPackage
import WireProtocol

/// The settings of `serve` from the environment and a file, as options that precede those of the command line: so the
/// command line overrides the environment, and the environment overrides the file.
///
/// A key is an option in camel case: `--max-connections` is `maxConnections` in the file and `TABLECAST_MAX_CONNECTIONS` in the
/// environment.
struct ServeSettings {
    enum Kind {
        /// true sets the option, false omits it.
        case flag
        case value
        case list
    }

    /// Every option of `serve` except `--config` itself.
    static let keys: [(name: String, kind: Kind)] = [
        ("init", .value), ("wal", .flag), ("readOnly", .flag), ("foreignKeys", .flag), ("port", .value),
        ("host", .value),
        ("path", .value), ("allowAnonymous", .flag), ("tokens", .value), ("allowedOrigin", .list),
        ("trustedProxy", .list), ("tlsCertificate", .value), ("tlsKey", .value), ("maxConnections", .value),
        ("heartbeatInterval", .value), ("maxMessageBytes", .value), ("maxQueuedBytes", .value),
        ("queryTimeout", .value), ("readers", .value), ("maxValueBytes", .value), ("maxQueryMemory", .value),
        ("maxTemporaryBytes", .value), ("logLevel", .value), ("logFormat", .value), ("slowQuery", .value),
    ]

    static let environmentPrefix = "tablecast"

    /// The options that precede the command line's.
    private(set) var options: [String] = []
    /// Their sources, for messages: a file, the environment, or both.
    private(set) var sources: [String] = []

    /// Reads the file, if there is one, and the environment.
    ///
    /// - Throws: ``CommandFailure`` for a file that cannot be read, an unknown key, and a malformed value.
    init(file: String?, environment: [String: String] = ProcessInfo.processInfo.environment) async throws {
        let variables = ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: environment))
            .scoped(to: ConfigKey([Self.environmentPrefix]))
        var fromFile: ConfigReader?
        if let file { fromFile = try await Self.reader(file) }
        for (name, kind) in Self.keys {
            let option = "--" + Self.kebab(name)
            if let values = Self.values(name, kind, in: variables) {
                options += values.flatMap { [option] + $0 }
                note("the environment")
            } else if let file, let fromFile, let values = Self.values(name, kind, in: fromFile) {
                options += values.flatMap { [option] + $0 }
                note(file)
            }
        }
    }

    private mutating func note(_ source: String) {
        if !sources.contains(source) { sources.append(source) }
    }

    /// The option's values, one for each occurrence; nil when it is not set.
    private static func values(_ name: String, _ kind: Kind, in reader: ConfigReader) -> [[String]]? {
        let key = ConfigKey([name])
        switch kind {
        case .flag: return reader.bool(forKey: key).map { $0 ? [[]] : [] }
        case .list:
            return reader.stringArray(forKey: key).map { $0.map { [$0] } } ?? text(key, in: reader).map { [[$0]] }
        case .value: return text(key, in: reader).map { [[$0]] }
        }
    }

    /// A number is passed on as text.
    private static func text(_ key: ConfigKey, in reader: ConfigReader) -> String? {
        reader.string(forKey: key) ?? reader.int(forKey: key).map { String($0) }
    }

    /// `maxConnections` as `max-connections`.
    static func kebab(_ name: String) -> String {
        name.reduce(into: "") { $0 += $1.isUppercase ? "-" + $1.lowercased() : String($1) }
    }

    // MARK: The file

    private static func reader(_ file: String) async throws -> ConfigReader {
        do {
            try checkKeys(in: file)
            if isYAML(file) {
                return ConfigReader(provider: try await FileProvider<YAMLSnapshot>(filePath: FilePath(file)))
            }
            return ConfigReader(provider: try await FileProvider<JSONSnapshot>(filePath: FilePath(file)))
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.usage, "'\(file)' cannot be read: \(error)", advice: advice)
        }
    }

    private static let advice = "Expected JSON or YAML such as {\"port\": 8080, \"tokens\": \"tokens.json\"}."

    private static func isYAML(_ file: String) -> Bool { file.hasSuffix(".yaml") || file.hasSuffix(".yml") }

    /// A misspelt key must not be ignored silently.
    private static func checkKeys(in file: String) throws {
        let text: String
        do {
            text = try String(contentsOfFile: file, encoding: .utf8)
        } catch {
            throw CommandFailure(.noInput, "'\(file)' cannot be read: \(error.localizedDescription)")
        }
        let known = Set(keys.map(\.name))
        for key in try isYAML(file) ? yamlKeys(text) : jsonKeys(text, file) where !known.contains(key) {
            throw CommandFailure(
                .usage,
                "'\(file)': unknown setting '\(key)'",
                advice: "Expected one of \(known.sorted().joined(separator: ", "))."
            )
        }
    }

    private static func jsonKeys(_ text: String, _ file: String) throws -> [String] {
        guard case .object(let object) = try JSONValue(parsing: Array(text.utf8)) else {
            throw CommandFailure(.usage, "'\(file)' is not a JSON object", advice: advice)
        }
        return object.keys.sorted()
    }

    /// The keys of the outermost mapping, which begin at the start of a line.
    private static func yamlKeys(_ text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            line.prefixMatch(of: /["']?([A-Za-z][\w-]*)["']?\s*:/).map { String($0.1) }
        }
    }
}

extension ServeSettings {
    /// The command line with the settings of the environment and of the `--config` file inserted before the options of
    /// `serve`; other commands have no such settings.
    static func apply(to arguments: [String]) async throws -> (arguments: [String], settings: ServeSettings?) {
        guard arguments.first == "serve", !arguments.contains(where: { ["-h", "--help"].contains($0) }) else {
            return (arguments, nil)
        }
        let settings = try await ServeSettings(file: file(in: arguments))
        return (["serve"] + settings.options + arguments.dropFirst(), settings)
    }

    private static func file(in arguments: [String]) -> String? {
        for (index, argument) in arguments.enumerated() {
            if argument == "--config", index + 1 < arguments.count { return arguments[index + 1] }
            if argument.hasPrefix("--config=") { return String(argument.dropFirst("--config=".count)) }
        }
        return nil
    }
}
