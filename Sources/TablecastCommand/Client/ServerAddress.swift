import ArgumentParser

/// The address of a server, in the forms that a user can type: `ws://host:3001/ws`, `https://host`, `host:3001`,
/// `:3001`.
struct ServerAddress: Sendable, Hashable {
    static let defaultPort = 3001
    static let defaultPath = "/ws"
    static let `default` = ServerAddress(isSecure: false, host: "127.0.0.1", port: defaultPort, path: defaultPath)

    var isSecure: Bool
    var host: String
    var port: Int
    /// The path of the WebSocket, with the query string if there is one.
    var path: String

    init(isSecure: Bool, host: String, port: Int, path: String) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
        self.path = path
    }

    init(parsing text: String) throws(CommandFailure) {
        var rest = Substring(text)
        var isSecure = false
        var hasScheme = false
        if let separator = text.firstRange(of: "://") {
            hasScheme = true
            switch text[..<separator.lowerBound].lowercased() {
            case "ws", "http": isSecure = false
            case "wss", "https": isSecure = true
            case let scheme:
                throw Self.failure(text, "'\(scheme)' is not one of ws, wss, http and https")
            }
            rest = text[separator.upperBound...]
        }
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<authorityEnd]
        let path = rest[authorityEnd...]
        guard !authority.contains("@") else {
            throw Self.failure(text, "it must not contain a user or password")
        }
        guard !authority.isEmpty else { throw Self.failure(text, "it has no host") }
        let (host, port) = try Self.split(authority, of: text)
        self.isSecure = isSecure
        self.host = host
        // A scheme without a port means the scheme's default port.
        self.port = port ?? (hasScheme && !Self.isLoopback(host) ? (isSecure ? 443 : 80) : Self.defaultPort)
        self.path = path.isEmpty || path == "/" ? Self.defaultPath : (path.first == "?" ? "/" : "") + String(path)
    }

    /// Whether the text is the address of a server rather than a file.
    static func looksLikeAddress(_ text: String) -> Bool {
        if text.contains("://") { return true }
        let authority = text.prefix { $0 != "/" }
        guard let colon = authority.lastIndex(of: ":") else { return false }
        let digits = authority[authority.index(after: colon)...]
        return !digits.isEmpty && digits.allSatisfy { $0.isASCII && $0.isNumber }
    }

    static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.") && host.allSatisfy { $0.isNumber || $0 == "." }
    }

    private static func split(_ authority: Substring, of text: String) throws(CommandFailure) -> (String, Int?) {
        var host = authority
        var port: Substring?
        if authority.first == "[" {
            guard let bracket = authority.firstIndex(of: "]") else { throw failure(text, "a ']' is missing") }
            host = authority[authority.index(after: authority.startIndex)..<bracket]
            let after = authority[authority.index(after: bracket)...]
            if after.first == ":" {
                port = after.dropFirst()
            } else if !after.isEmpty {
                throw failure(text, "a ':' and a port may follow ']'")
            }
        } else if let colon = authority.lastIndex(of: ":") {
            guard !authority[..<colon].contains(":") else { throw failure(text, "an IPv6 address needs brackets") }
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        if host.isEmpty { host = "127.0.0.1" }
        guard let port else { return (String(host), nil) }
        guard let number = Int(port), (1...65535).contains(number) else {
            throw failure(text, "'\(port)' is not a port between 1 and 65535")
        }
        return (String(host), number)
    }

    private static func failure(_ text: String, _ reason: String) -> CommandFailure {
        CommandFailure(
            .usage,
            "'\(text)' is not a server address: \(reason)",
            advice: "Expected an address such as ws://127.0.0.1:3001/ws, wss://db.example.com or 127.0.0.1:3001."
        )
    }
}

extension ServerAddress: CustomStringConvertible {
    var description: String {
        let host = host.contains(":") ? "[\(host)]" : host
        return "\(isSecure ? "wss" : "ws")://\(host):\(port)\(path)"
    }
}

/// The options for the connection of `listen` and `query`.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The name of this client for other clients; anonymous by default.", valueName: "name")
    )
    var username: String?

    @Option(
        help: ArgumentHelp(
            "The access token; by default that in TABLECAST_TOKEN, which other users of this machine cannot see.",
            valueName: "token"
        )
    )
    var token: String?

    @Flag(help: "Accept any TLS certificate, for tests with a self-signed one.")
    var insecure = false

    static let variable = "TABLECAST_TOKEN"

    /// From the option, otherwise from the environment.
    var bearerToken: String? { token ?? Environment.secret(Self.variable) }

    func validate() throws {
        guard token?.isEmpty != true else {
            throw ValidationError("--token is empty: omit it if the server requires no token.")
        }
        try Self.checkCharacters(ofToken: bearerToken)
    }

    /// Other characters would end the header, or begin another one.
    static func checkCharacters(ofToken token: String?) throws {
        guard token?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true else {
            throw ValidationError("The token has invalid characters: expected visible ASCII without spaces.")
        }
    }
}
