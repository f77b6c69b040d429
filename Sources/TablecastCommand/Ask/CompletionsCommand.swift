import ArgumentParser

struct CompletionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print a shell completion script for commands and options.",
        usage: """
            tablecast completions bash > ~/.local/share/bash-completion/completions/tablecast
            tablecast completions zsh > "${fpath[1]}/_tablecast"
            tablecast completions fish > ~/.config/fish/completions/tablecast.fish
            """
    )

    @Argument(help: "bash, zsh or fish.", completion: .list(Shell.allCases.map(\.rawValue)))
    var shell: Shell

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish
    }

    func run() async throws {
        try await reportingFailure {
            let script: String =
                switch shell {
                case .bash: TablecastCommand.completionScript(for: .bash)
                case .zsh: TablecastCommand.completionScript(for: .zsh)
                case .fish: TablecastCommand.completionScript(for: .fish)
                }
            _ = try Terminal.output.writeLine(script)
        }
    }
}
