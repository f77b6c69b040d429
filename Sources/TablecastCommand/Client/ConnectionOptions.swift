import ArgumentParser

/// How `listen` and `query` reach a server.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The name under which others see this client.", valueName: "name"))
    var username: String?

    @Flag(help: "Take any TLS certificate. For tests with one that signed itself.")
    var insecure = false
}
