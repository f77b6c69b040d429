import Configuration
import Foundation
import Tablecast

/// The settings of `serve` and `relay` from the environment and a file, as options that precede those of the command line: so the
/// command line overrides the environment, and the environment overrides the file.
///
/// A key is an option in camel case: `--max-connections` is `maxConnections` in the file and `TABLECAST_MAX_CONNECTIONS` in the
/// environment. Limits are nested below `limits` by their names: `query.maxRows` is `{"limits": {"query": {"maxRows": 1000}}}`
/// in the file and `TABLECAST_LIMITS_QUERY_MAX_ROWS` in the environment.
struct ServeSettings {
    enum Kind {
        /// true sets the option, false omits it.
        case flag
        case value
        case list
    }

    /// Every option of `serve` except `--config` itself.
    static let keys: [(name: String, kind: Kind)] =
        [
            ("init", .value), ("wal", .flag), ("readOnly", .flag), ("foreignKeys", .flag), ("state", .value),
        ] + serverKeys
    /// Those of `relay`, except the token for the source, which has a variable of its own and belongs in no file.
    static let relayKeys: [(name: String, kind: Kind)] =
        [("wait", .flag), ("upstreamHeartbeat", .value), ("insecure", .flag)] + serverKeys

    private static let serverKeys: [(name: String, kind: Kind)] = [
        ("port", .value),
        ("host", .value),
        ("path", .value), ("allowAnonymous", .flag), ("tokens", .value), ("jwtKeys", .value), ("jwtIssuer", .value),
        ("jwtAudience", .list), ("jwtLeeway", .value),
        ("jwtClaims", .value), ("allowedOrigin", .list),
        ("trustedProxy", .list), ("tlsCertificate", .value), ("tlsKey", .value), ("logLevel", .value),
        ("logFormat", .value), ("slowQuery", .value), ("nats", .value), ("natsStream", .value),
        ("natsCredentials", .value), ("natsNkey", .value), ("natsCa", .value), ("natsCertificate", .value),
        ("natsKey", .value),
    ]

    /// Every limit: its path in the file, and its name. An option of its own follows the limit by name, so that it
    /// prevails.
    private static let limits: [(path: [String], name: String)] =
        LimitSetting.all.map { (["limits"] + $0.name.split(separator: ".").map(String.init), $0.name) }
        + LimitOptions.shortcuts.map { ([$0.key], $0.limit) }

    static let environmentPrefix = "tablecast"

    /// The options that precede the command line's.
    private(set) var options: [String] = []
    /// Their sources, for messages: a file, the environment, or both.
    private(set) var sources: [String] = []

    /// Reads the file, if there is one, and the environment.
    ///
    /// - Throws: ``CommandFailure`` for a file that cannot be read, an unknown key, and a malformed value.
    init(
        file: String?,
        keys: [(name: String, kind: Kind)] = Self.keys,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws {
        let variables = ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: environment))
            .scoped(to: ConfigKey([Self.environmentPrefix]))
        var document: SettingsFile?
        if let file { document = try await SettingsFile(file, paths: Self.paths(keys)) }
        for (name, kind) in keys {
            let option = "--" + Self.kebab(name)
            if let values = Self.values([name], kind, in: variables) {
                options += values.flatMap { [option] + $0 }
                note("the environment")
            } else if let document, document.keys.contains([name]) {
                guard let values = Self.values([name], kind, in: document.reader) else {
                    throw document.mistyped([name], kind)
                }
                options += values.flatMap { [option] + $0 }
                note(document.path)
            }
        }
        // A later one prevails: the environment over the file.
        for (path, name) in Self.limits where document?.keys.contains(path) == true {
            guard let document else { continue }
            guard let value = Self.text(ConfigKey(path), in: document.reader) else {
                throw document.mistyped(path, .value)
            }
            options += ["--limit", "\(name)=\(value)"]
            note(document.path)
        }
        for (path, name) in Self.limits {
            guard let value = Self.text(ConfigKey(path.map(Self.kebab)), in: variables) else { continue }
            options += ["--limit", "\(name)=\(value)"]
            note("the environment")
        }
    }

    private mutating func note(_ source: String) {
        if !sources.contains(source) { sources.append(source) }
    }

    /// The option's values, one for each occurrence; nil when it is not set.
    private static func values(_ path: [String], _ kind: Kind, in reader: ConfigReader) -> [[String]]? {
        let key = ConfigKey(path)
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

    /// `maxConnections` as `max-connections`, `maxSQLBytes` as `max-sql-bytes`.
    static func kebab(_ name: String) -> String {
        var result = ""
        let characters = Array(name)
        for (index, character) in characters.enumerated() {
            let beginsWord =
                index > 0 && character.isUppercase
                && (!characters[index - 1].isUppercase || characters.dropFirst(index + 1).first?.isLowercase == true)
            if beginsWord { result += "-" }
            result += character.lowercased()
        }
        return result
    }

    /// Every key that a file may contain.
    private static func paths(_ keys: [(name: String, kind: Kind)]) -> Set<[String]> {
        Set(keys.map { [$0.name] } + limits.map(\.path))
    }
}

extension ServeSettings {
    /// The command line with the settings of the environment and of the `--config` file inserted before the options of
    /// `serve` or `relay`; other commands have no such settings.
    static func apply(to arguments: [String]) async throws -> (arguments: [String], settings: ServeSettings?) {
        guard let command = arguments.first, let keys = ["serve": Self.keys, "relay": relayKeys][command],
            !arguments.contains(where: { ["-h", "--help"].contains($0) })
        else { return (arguments, nil) }
        let settings = try await ServeSettings(file: file(in: arguments), keys: keys)
        return ([command] + settings.options + arguments.dropFirst(), settings)
    }

    private static func file(in arguments: [String]) -> String? {
        for (index, argument) in arguments.enumerated() {
            if argument == "--config", index + 1 < arguments.count { return arguments[index + 1] }
            if argument.hasPrefix("--config=") { return String(argument.dropFirst("--config=".count)) }
        }
        return nil
    }
}
