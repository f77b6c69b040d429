import ArgumentParser
import ChangeCapture
import SQLiteConnection
import Tablecast

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why a command failed: the problem and the solution.
struct CommandFailure: Error, Sendable, Hashable, CustomStringConvertible {
    var status: ExitReason
    /// The problem, as one sentence without a full stop.
    var message: String
    /// The solution, as one sentence.
    var advice: String?

    init(_ status: ExitReason, _ message: String, advice: String? = nil) {
        self.status = status
        self.message = message
        self.advice = advice
    }

    var description: String { rendered(.plain) }

    func rendered(_ palette: Palette) -> String {
        var text = palette(.boldRed, "error:") + " " + message.printable
        if let advice { text += "\n" + palette(.dim, "  " + advice.printable) }
        return text
    }
}

/// Runs the body of a command; a ``CommandFailure``, or the error of a database file, is printed to stderr and
/// determines the exit code.
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

/// Reports on stderr why the command ends; returns the process's exit code.
func report(_ failure: CommandFailure) -> ExitCode {
    Terminal.error.note(failure.rendered(Terminal.error.palette))
    return failure.status.exitCode
}

extension CommandFailure {
    /// A file cannot be served or watched.
    init(_ error: DatabaseFileError) {
        let reason: ExitReason =
            switch error {
            case .notFound, .noDirectory, .isDirectory, .isNoRegularFile, .unreachable: .noInput
            case .notADatabase, .unusable: .notADatabase
            case .notReadable, .notWritable, .logUnavailable, .recoveryNeeded: .noPermission
            case .locked: .temporaryFailure
            }
        self.init(reason, error.problem, advice: error.advice)
    }

    /// The file at `path` cannot be watched.
    init(_ error: WatchError, path: String) {
        switch error {
        case .notADatabase(_, let reason):
            self.init(.notADatabase, "'\(path)' is not a database that can be watched: \(reason)")
        case .logUnavailable(_, let reason):
            self.init(DatabaseFileError.logUnavailable(path: path, reason: reason))
        case .recoveryNeeded:
            self.init(DatabaseFileError.recoveryNeeded(path: path))
        case .sqlite(let error) where [.corrupt, .notADatabase, .error].contains(error.code.primary):
            self.init(.notADatabase, "'\(path)' cannot be watched: \(error.message)")
        case .undecodable:
            self.init(.notADatabase, "'\(path)' cannot be watched: \(error)")
        default:
            self.init(.noInput, "'\(path)' cannot be watched: \(error)")
        }
    }
}

extension CommandFailure {
    /// The failure to listen on an address.
    static func binding(host: String, port: Int, errno code: Int32) -> CommandFailure {
        switch code {
        case EADDRINUSE:
            CommandFailure(
                .unavailable,
                "port \(port) of \(host) is in use",
                advice: "Another server may be running. Choose another port with --port, or 0 for any free port."
            )
        case EACCES:
            CommandFailure(
                .noPermission,
                "this user is not permitted to use port \(port) of \(host)",
                advice: "Ports below 1024 normally require root. Choose another with --port."
            )
        case EADDRNOTAVAIL:
            CommandFailure(.osError, "\(host) is not an address of this machine", advice: "Choose one with --host.")
        default:
            CommandFailure(.osError, "\(host):\(port) cannot be bound: \(SystemError.message(code))")
        }
    }
}

/// The exit codes of the process, with the numbers of BSD's `sysexits.h`.
enum ExitReason: Int32, Sendable, CaseIterable {
    case success = 0
    /// The SQL failed, or the query was refused or cancelled by another client.
    case failure = 1
    /// Invalid options or arguments.
    case usage = 64
    /// The file is not a SQLite database, or it is damaged.
    case notADatabase = 65
    /// The file, or a file that an option names, does not exist or cannot be read.
    case noInput = 66
    /// The server cannot be reached, or the connection was lost.
    case unavailable = 69
    /// An internal error.
    case software = 70
    /// The address is in use or cannot be bound.
    case osError = 71
    /// A file cannot be written.
    case cannotCreate = 73
    /// Output cannot be written, although its reader still exists.
    case ioError = 74
    /// Another process has a lock on the file: a later attempt may work.
    case temporaryFailure = 75
    /// The server does not speak this protocol.
    case protocolError = 76
    /// This user may not use the file, the port or the server.
    case noPermission = 77
    /// Ctrl-C: 128 plus the number of SIGINT, as in a shell.
    case interrupted = 130

    static let helpText = """
        Exit codes: 0 success, 1 the SQL failed, 64 invalid usage, 65 not a database, 66 no such file, 69 server not \
        reachable or port in use, 73 file cannot be created, 74 output cannot be written, 75 file locked by another process, 76 not a Tablecast server, \
        77 no permission, 130 interrupted.
        """

    var exitCode: ExitCode { ExitCode(rawValue) }
}

/// The operating system's messages for its error numbers.
enum SystemError {
    static func message(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}
