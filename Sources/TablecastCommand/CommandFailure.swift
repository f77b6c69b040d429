import ArgumentParser
import ChangeCapture
import SQLiteConnection
import Tablecast
import WireProtocol

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

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
        throw report(CommandFailure(ExitReason(error), "the file cannot be read: \(error.message)"))
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
    /// The SQL failed, the request was refused for another reason than a missing right, or the query was cancelled by another
    /// client.
    case failure = 1
    /// Invalid options or arguments.
    case usage = 64
    /// The file is not a SQLite database, or it is damaged.
    case notADatabase = 65
    /// The file, or a file that an option names, does not exist or cannot be read.
    case noInput = 66
    /// The server cannot be reached or is full, the connection was lost, or the port to serve on is in use.
    case unavailable = 69
    /// An internal error.
    case software = 70
    /// The address cannot be bound, the disk is full, or the system fails in another way.
    case osError = 71
    /// A file cannot be written.
    case cannotCreate = 73
    /// Output cannot be written, although its reader still exists.
    case ioError = 74
    /// Another process has a lock on the file: a later attempt may work.
    case temporaryFailure = 75
    /// The server does not speak this protocol.
    case protocolError = 76
    /// This user may not use the file, the port or the server, or run the statement.
    case noPermission = 77
    /// Ctrl-C: 128 plus the number of SIGINT, as in a shell.
    case interrupted = 130

    static let helpText = """
        Exit codes: 0 success, 1 the SQL failed or the request was refused, 64 invalid usage, 65 not a database, 66 no such \
        file, 69 server not reachable or full, or port in use, 70 internal error, 71 system error such as a full disk, 73 file cannot be \
        created, 74 output cannot be written, 75 locked by another process, 76 not a Tablecast server, 77 no permission, 130 \
        interrupted.
        """

    /// For the error of a file.
    init(_ error: SQLiteError) {
        self =
            switch error.code.primary {
            case .notADatabase, .corrupt: .notADatabase
            case .busy, .locked: .temporaryFailure
            case .cantOpen: .noInput
            case .permission, .readOnly, .auth: .noPermission
            case .inputOutput, .full, .outOfMemory: .osError
            default: .failure
            }
    }

    /// For an error that a server or the query of a file reports.
    init(_ code: ErrorCode?) {
        self =
            switch code {
            case .unauthorized, .forbidden, .notAuthorized, .readOnly: .noPermission
            case .rateLimited, .tooManyQueries, .databaseGone: .unavailable
            case .busy: .temporaryFailure
            case .internal: .software
            default: .failure
            }
    }

    var exitCode: ExitCode { ExitCode(rawValue) }
}

/// The operating system's messages for its error numbers.
enum SystemError {
    static func message(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}

/// Files that options name.
enum FileText {
    /// - Parameter name: what the file is, for the message.
    /// - Throws: ``CommandFailure`` with the path and the system's reason.
    static func bytes(of path: String, _ name: String) throws(CommandFailure) -> Data {
        if let data = FileManager.default.contents(atPath: path) { return data }
        let reason = access(path, R_OK) == 0 ? "it is not a regular file" : SystemError.message()
        throw CommandFailure(.noInput, "\(name) '\(path)' cannot be read: \(reason)")
    }
}
