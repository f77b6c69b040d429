import ArgumentParser
import Tablecast

@main
struct TablecastCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tablecast",
        abstract: "Hear every committed change of a SQLite file, live.",
        discussion: ExitReason.helpText,
        version: TablecastVersion.current,
        subcommands: [ServeCommand.self, ListenCommand.self, QueryCommand.self]
    )
}
