import ArgumentParser
import SQLiteConnection
import Tablecast

/// Runs the body of a command; a ``CommandFailure`` is printed to stderr and becomes the exit code, as
/// does what is wrong with a database file.
func reportingFailure(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let failure as CommandFailure {
        throw report(failure)
    } catch let error as DatabaseFileError {
        throw report(CommandFailure(error))
    } catch let error as UnusableTable {
        throw report(CommandFailure(.failure, "\(error)"))
    } catch let error as SQLiteError {
        let reason: ExitReason = error.code.primary == .busy ? .temporaryFailure : .notADatabase
        throw report(CommandFailure(reason, "the file cannot be read: \(error.message)"))
    }
}

/// Says on stderr why the command ends; returns the process's exit code.
func report(_ failure: CommandFailure) -> ExitCode {
    Terminal.error.note(failure.rendered(Terminal.error.palette))
    return failure.status.exitCode
}
