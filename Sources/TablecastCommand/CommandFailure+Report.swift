import ArgumentParser

/// Runs the body of a command; a ``CommandFailure`` is printed to stderr and becomes the exit code.
func reportingFailure(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let failure as CommandFailure {
        Terminal.error.writeLine(failure.rendered(Terminal.error.palette))
        throw failure.status.exitCode
    }
}
