import ArgumentParser
import Tablecast

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@main
struct TablecastCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tablecast",
        abstract: "Publish every committed change of a SQLite file, live.",
        discussion: ExitReason.helpText,
        version: TablecastVersion.current,
        subcommands: [
            ServeCommand.self, RelayCommand.self, ListenCommand.self, QueryCommand.self, TablesCommand.self,
            SchemaCommand.self,
            CancelCommand.self,
            BroadcastCommand.self, StatusCommand.self, CompletionsCommand.self, ManualCommand.self,
        ]
    )

    static func main() async {
        // The failing write reports a disconnected reader.
        signal(SIGPIPE, SIG_IGN)
        var settings: ServeSettings?
        do {
            let (arguments, applied) = try await ServeSettings.apply(to: Array(CommandLine.arguments.dropFirst()))
            settings = applied
            try checkName(of: arguments)
            var command = try parseAsRoot(QueryCommand.separatingSQL(in: arguments))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            exit(report(failure))
        } catch {
            if let settings, !settings.options.isEmpty, exitCode(for: error) == .validationFailure {
                Terminal.error.note(
                    "note: from \(settings.sources.joined(separator: " and ")): \(settings.options.joined(separator: " "))"
                )
            }
            end(error)
        }
    }

    /// Refuses an unknown command also with `--help`, which would otherwise print the general help.
    private static func checkName(of arguments: [String]) throws(CommandFailure) {
        guard let name = arguments.first, !name.hasPrefix("-"), name != "help" else { return }
        let names = configuration.subcommands.map { $0._commandName }
        guard !names.contains(name) else { return }
        throw CommandFailure(
            .usage,
            "there is no command '\(name)'",
            advice: "Expected one of \(names.joined(separator: ", ")); tablecast --help describes them."
        )
    }

    /// Ends the process like ArgumentParser, except that help which cannot be written is an error, and that every error
    /// begins with the same word.
    private static func end(_ error: any Error) -> Never {
        let message = fullMessage(for: error)
        let code = exitCode(for: error)
        guard !message.isEmpty else { exit(code) }
        do throws(CommandFailure) {
            if code.isSuccess {
                _ = try Terminal.output.writeLine(message)
            } else {
                Terminal.error.note(restyled(message))
            }
            exit(code)
        } catch {
            exit(report(error))
        }
    }

    private static func restyled(_ message: String) -> String {
        let prefix = "Error:"
        guard message.hasPrefix(prefix) else { return message }
        return Terminal.error.palette(.boldRed, "error:") + message.dropFirst(prefix.count)
    }

    private static func exit(_ code: ExitCode) -> Never { exit(withError: code) }
}
