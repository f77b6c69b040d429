import ArgumentParser
import Logging
import Tablecast

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The access options of `serve`. Secrets come from a file or the environment, because every user of the machine can
/// read a process's arguments.
struct AccessOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Require a token from this JSON file: [{\"token\": …, \"role\": …, \"username\": …, \"tables\": […]}].",
            discussion: """
                Roles are read-only, read-write, admin and relay. 'rules' selects rows: {\"orders\": \"owner = :sub\"} with \
                'claims': {\"sub\": \"ada\"}. Instead of the file, or in addition to it, set one token per role \
                in TABLECAST_READ_ONLY_TOKEN, TABLECAST_READ_WRITE_TOKEN, TABLECAST_ADMIN_TOKEN and TABLECAST_RELAY_TOKEN.
                """,
            valueName: "json-file"
        ),
        completion: .file(extensions: ["json"])
    )
    var tokens: String?

    @OptionGroup var jwt: JWTOptions

    /// The environment variable for a token of each role.
    static func variable(_ role: Role) -> String {
        switch role {
        case .readOnly: "TABLECAST_READ_ONLY_TOKEN"
        case .readWrite: "TABLECAST_READ_WRITE_TOKEN"
        case .admin: "TABLECAST_ADMIN_TOKEN"
        case .relay: "TABLECAST_RELAY_TOKEN"
        }
    }

    /// Whether tokens are required.
    var isConfigured: Bool {
        tokens != nil || jwt.isConfigured || Role.allCases.contains { Environment.secret(Self.variable($0)) != nil }
    }

    /// An empty variable means that the token is missing, and not that none is required.
    func validate() throws {
        for role in Role.allCases where Environment.isEmpty(Self.variable(role)) {
            throw ValidationError(
                "\(Self.variable(role)) is set and empty: set it to a token, such as the output of openssl rand -hex 32, or unset it."
            )
        }
    }

    /// Whether files contain what is required, so that they can be read again.
    var isReloadable: Bool { tokens != nil || jwt.isConfigured }

    /// Nil when no token is required.
    ///
    /// - Parameter requiresKeys: whether it is an error that the address of the keys of JSON Web Tokens does not answer.
    func authenticator(requiresKeys: Bool, logger: Logger) async throws -> (any Authenticator)? {
        guard isConfigured else { return nil }
        let list = try tokenList()
        guard let web = try await jwt.authenticator(requiresKeys: requiresKeys, logger: logger) else { return list }
        // The last one determines the reason for which an unknown token is refused.
        return FirstAuthenticator(list.isEmpty ? [web] : [list, web])
    }

    private func tokenList() throws -> TokenList {
        var list = try tokens.map(Self.read) ?? TokenList()
        for role in Role.allCases {
            let name = Self.variable(role)
            guard let token = Environment.secret(name) else { continue }
            do {
                try list.add(token, for: Identity(id: "\(role.rawValue) token", role: role))
            } catch {
                throw CommandFailure(
                    .usage,
                    "the token in \(name): \(error)",
                    advice: "Create one with openssl rand -hex 32."
                )
            }
        }
        return list
    }

    private static func read(_ path: String) throws -> TokenList {
        let data = try FileText.bytes(of: path, "the token file")
        warnIfOpen(path)
        do {
            return try TokenList(parsing: data)
        } catch {
            throw CommandFailure(
                .usage,
                "the token file '\(path)': \(error)",
                advice: "Expected a list such as [{\"token\": \"…\", \"role\": \"read-only\", \"username\": \"ada\"}]."
            )
        }
    }

    private static func warnIfOpen(_ path: String) {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let mode = attributes?[.posixPermissions] as? Int, mode & 0o066 != 0 else { return }
        Terminal.error.note("warning: other users can read the tokens in '\(path.printable)'; chmod 600 it")
    }
}
