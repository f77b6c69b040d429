import ArgumentParser
import Tablecast

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Watch a SQLite file and serve it over WebSocket and HTTP.",
        usage: """
            tablecast serve my.db
            tablecast serve my.db --wal --port 8080
            tablecast serve music.db --init music.sql
            tablecast serve :memory: --init music.sql
            """,
        discussion: """
            Publishes every commit to the file to the subscribers of channel 'tables', whether a query through this server \
            or another process made it. GET / is a web page with the tables, changes and queries.

            Ctrl-C and SIGTERM stop the server: it rolls back open transactions, closes clients with 1001 and exits with 0 \
            within five seconds.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: "The SQLite database file, or :memory: for a database that is deleted when the server stops.",
        completion: .file()
    )
    var file: String

    @Option(
        help: ArgumentHelp(
            "A JSON or YAML file with these options in camel case, such as {\"maxConnections\": 500}.",
            discussion:
                "Environment variables (TABLECAST_MAX_CONNECTIONS) override the file; the command line overrides both.",
            valueName: "file"
        ),
        completion: .file(extensions: ["json", "yaml", "yml"])
    )
    var config: String?

    @OptionGroup(title: "Database") var database: DatabaseOptions
    @OptionGroup(title: "Listening") var address: ListeningOptions
    @OptionGroup(title: "Access control") var access: AccessOptions
    @OptionGroup(title: "NATS") var nats: NATSOptions
    @OptionGroup(title: "Limits") var limits: LimitOptions

    @OptionGroup(title: "Logging") var logging: LoggingOptions

    func validate() throws {
        try address.validate()
        try address.validate(access, risk: "read and change the database")
        if database.readOnly, file != InMemoryDatabase.name, database.wal || database.initialScript != nil {
            throw ValidationError("--read-only cannot be combined with --wal or --init, which write to the file.")
        }
    }
}

extension ServeCommand {
    var databaseConfiguration: DatabaseConfiguration { configuration(of: DatabaseConfiguration(path: file)) }

    /// The configuration for this database.
    func configuration(of database: DatabaseConfiguration) -> DatabaseConfiguration {
        var configuration = database
        configuration.isReadOnly = self.database.readOnly
        configuration.switchesToWAL = self.database.wal
        configuration.enforcesForeignKeys = self.database.foreignKeys
        configuration.state = self.database.stateStorage
        configuration.capturesValues = nats.nats != nil
        configuration.slowQueryThreshold = logging.slowQuery.duration > .zero ? logging.slowQuery.duration : nil
        return configuration
    }

    /// - Throws: `ValidationError` for limits that `validate()` refuses too.
    func serverConfiguration() throws -> ServerConfiguration {
        try address.configuration(defaultPort: ServerAddress.defaultPort, limits: limits)
    }
}
