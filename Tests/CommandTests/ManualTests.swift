import ArgumentParser
import Testing

@testable import TablecastCommand

struct ManualTests {
    @Test func `the manual page has every command and every option`() throws {
        let page = try ManualPage.text().replacing("\\-", with: "-")
        for command in TablecastCommand.configuration.subcommands {
            let name = try #require(command.configuration.commandName)
            #expect(page.contains(".SS \"tablecast \(name)"), "\(name)")
            for option in command.helpMessage(columns: 500).matches(of: /--[a-z][a-z-]+/) {
                #expect(page.contains(option.0), "\(name) \(option.0)")
            }
        }
    }

    @Test func `no line of a text is taken for a macro`() throws {
        let macros: Set = ["TH", "SH", "SS", "PP", "TP", "B", "I", "br"]
        for line in try ManualPage.text().split(separator: "\n") where line.hasPrefix(".") || line.hasPrefix("'") {
            #expect(macros.contains(String(line.dropFirst().prefix { $0 != " " })), "\(line)")
        }
    }
}
