import ArgumentParser
import Foundation
import Tablecast

struct ManualCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Print the manual page of all commands.",
        usage: """
            tablecast manual | man -l -
            tablecast manual > /usr/local/share/man/man1/tablecast.1
            """
    )

    func run() async throws {
        try await reportingFailure {
            _ = try Terminal.output.write(try ManualPage.text())
        }
    }
}

/// The help texts of all commands as a manual page, in the macros of
/// [man(7)](https://man7.org/linux/man-pages/man7/man.7.html).
enum ManualPage {
    static func text() throws -> String {
        let help = try JSONDecoder().decode(Help.self, from: Data(TablecastCommand._dumpHelp().utf8))
        var page = Roff()
        page.macro("TH", ["TABLECAST", "1", "", "Tablecast \(TablecastVersion.current)", "User Commands"])
        page.macro("SH", ["NAME"])
        page.text("tablecast \u{2014} \(help.command.abstract ?? "")")
        page.macro("SH", ["SYNOPSIS"])
        for command in help.command.subcommands ?? [] {
            page.macro("B", ["tablecast \(command.commandName)"])
            page.text(command.synopsis)
            page.macro("br")
        }
        page.macro("SH", ["COMMANDS"])
        for command in help.command.subcommands ?? [] { page.add(command) }
        return page.output
    }

    /// The part of the parser's description of a command that the page contains.
    struct Help: Decodable {
        struct Command: Decodable {
            var commandName: String
            var abstract: String?
            var discussion: String?
            var arguments: [Argument]?
            var subcommands: [Command]?

            var synopsis: String {
                let positional = (arguments ?? []).filter { $0.kind == "positional" && $0.shouldDisplay }
                return (["[options]"] + positional.map(\.synopsis)).joined(separator: " ")
            }
        }

        struct Argument: Decodable {
            struct Name: Decodable {
                var kind: String
                var name: String

                var text: String { (kind == "long" ? "--" : "-") + name }
            }

            var kind: String
            var shouldDisplay: Bool
            var isOptional: Bool
            var isRepeating: Bool
            var names: [Name]?
            var valueName: String?
            var abstract: String?
            var discussion: String?
            var defaultValue: String?
            var sectionTitle: String?

            var synopsis: String {
                let name = valueName ?? "argument"
                return (isOptional ? "[\(name)]" : name) + (isRepeating ? " ..." : "")
            }

            var term: String {
                let names = (names ?? []).map(\.text).joined(separator: ", ")
                if names.isEmpty { return valueName ?? "argument" }
                return kind == "option" ? "\(names) <\(valueName ?? "value")>" : names
            }
        }

        var command: Command
    }

    /// Text with the macros of a manual page.
    fileprivate struct Roff {
        private(set) var output = ""

        mutating func macro(_ name: String, _ arguments: [String] = []) {
            let quoted = arguments.map { "\"" + Self.escaped($0).replacing("\"", with: "\\(dq") + "\"" }
            output += ([".\(name)"] + quoted).joined(separator: " ") + "\n"
        }

        mutating func text(_ paragraph: String) {
            for line in paragraph.split(separator: "\n") { output += Self.lineEscaped(String(line)) + "\n" }
        }

        /// Paragraphs separated by empty lines; the lines of each are kept.
        mutating func paragraphs(_ paragraphs: String) {
            for paragraph in paragraphs.split(separator: "\n\n") {
                macro("PP")
                for line in paragraph.split(separator: "\n") {
                    text(String(line))
                    macro("br")
                }
            }
        }

        mutating func add(_ command: Help.Command) {
            macro("SS", ["tablecast \(command.commandName) \(command.synopsis)"])
            text(command.abstract ?? "")
            if let discussion = command.discussion { paragraphs(discussion) }
            var section: String?
            for argument in command.arguments ?? [] where argument.shouldDisplay {
                if argument.sectionTitle != section, let title = argument.sectionTitle {
                    macro("PP")
                    macro("I", [title])
                }
                section = argument.sectionTitle
                macro("TP")
                macro("B", [argument.term])
                let fallback = argument.defaultValue.map { " Default \($0)." } ?? ""
                text([(argument.abstract ?? "") + fallback, argument.discussion ?? ""].joined(separator: "\n"))
            }
        }

        private static func escaped(_ text: String) -> String {
            text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
        }

        /// A line that begins with a period or an apostrophe would be a macro.
        private static func lineEscaped(_ line: String) -> String {
            let text = escaped(line)
            return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" + text : text
        }
    }
}
