import ArgumentParser

/// How `listen` and `query` reach a server.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The name under which others see this client; anonymous if left out.", valueName: "name")
    )
    var username: String?

    @Option(
        help: ArgumentHelp(
            "The token that the server asks for; that of TABLECAST_TOKEN if left out, which other users do not see.",
            valueName: "token"
        )
    )
    var token: String?

    @Flag(help: "Take any TLS certificate. For tests with one that signed itself.")
    var insecure = false

    /// From the option, or else from the environment.
    var bearerToken: String? { token ?? Environment.secret("TABLECAST_TOKEN") }

    func validate() throws {
        guard token?.isEmpty != true else {
            throw ValidationError("--token is empty: leave it out where no token is asked for.")
        }
        // Anything else would end the header, or begin another.
        guard bearerToken?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true else {
            throw ValidationError("The token has characters that no token has: expected visible ASCII without spaces.")
        }
    }
}
