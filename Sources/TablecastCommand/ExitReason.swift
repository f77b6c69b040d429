import ArgumentParser

/// What the process tells its caller, in the numbers of BSD's `sysexits.h`.
enum ExitReason: Int32, Sendable, CaseIterable {
    case success = 0
    /// The SQL failed, or the query was refused or cancelled by another client.
    case failure = 1
    /// Options or arguments that make no sense.
    case usage = 64
    /// The file is no SQLite database, or a damaged one.
    case notADatabase = 65
    /// The file, or one that an option names, does not exist or cannot be read.
    case noInput = 66
    /// The server cannot be reached, or went away in the middle.
    case unavailable = 69
    /// An internal error.
    case software = 70
    /// The address is in use or cannot be bound.
    case osError = 71
    /// A file cannot be written.
    case cannotCreate = 73
    /// Output cannot be written, for another reason than that its reader is gone.
    case ioError = 74
    /// Another process has a lock on the file: later it may work.
    case temporaryFailure = 75
    /// The server does not speak this protocol.
    case protocolError = 76
    /// The file, the port or the server is not for this user.
    case noPermission = 77
    /// Ctrl-C: 128 and the number of SIGINT, as a shell would say.
    case interrupted = 130

    static let helpText = """
        Exit codes: 0 success, 1 the SQL failed, 64 wrong usage, 65 not a database, 66 no such file, 69 server not \
        reachable or port in use, 73 file cannot be made, 74 output cannot be written, 75 file locked by another process, 76 not a Tablecast server, \
        77 no permission, 130 interrupted.
        """

    var exitCode: ExitCode { ExitCode(rawValue) }
}
