import Foundation
import Synchronization
import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The place of `listen --state`: after the last transaction whose lines were printed. Thread-safe.
///
/// The file is replaced as a whole, and after the lines: a process that is killed between the two prints the lines of the
/// last transactions again, and never omits one.
final class PositionFile: Sendable {
    /// The time between two writes. A process that is killed repeats the transactions of at most this time.
    static let writeInterval = Duration.milliseconds(50)
    private static let maxBytes = 4_096

    struct Place: Codable, Equatable {
        var position: Position
        /// The id of the subscription that received everything up to the position.
        var subscription: String?
    }

    private struct State {
        var place: Place?
        var written: Place?
    }

    private let path: String
    private let state: Mutex<State>

    /// Reads the file, if there is one.
    ///
    /// - Throws: ``CommandFailure`` for a file that cannot be read, or contains something else: it is not overwritten. Also for a folder
    ///   in which no file can be created.
    init(path: String) throws(CommandFailure) {
        let path = Self.target(of: path)
        self.path = path
        var place: Place?
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard access(folder, W_OK | X_OK) == 0 else {
            let error = StateFileError(operation: "create a file in \(folder)")
            throw CommandFailure(.cannotCreate, "the state file '\(path)' cannot be written: \(error)")
        }
        if FileManager.default.fileExists(atPath: path) { place = try Self.read(path) }
        state = Mutex(State(place: place, written: place))
    }

    /// The file that the path names behind symbolic links, whether it exists or not: the links stay.
    private static func target(of path: String) -> String {
        var path = path
        for _ in 0..<maxLinks {
            // Also thrown by what is no link.
            guard let next = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { break }
            path = URL(fileURLWithPath: next, relativeTo: URL(fileURLWithPath: path).deletingLastPathComponent()).path
        }
        return path
    }

    /// As many as the system follows.
    private static let maxLinks = 40

    private static func read(_ path: String) throws(CommandFailure) -> Place {
        let data = try FileText.bytes(of: path, "the state file")
        do {
            guard data.count <= maxBytes else { throw CocoaError(.fileReadTooLarge) }
            return try JSONDecoder().decode(Place.self, from: data)
        } catch {
            throw CommandFailure(
                .notADatabase,
                "'\(path)' is not a state file of tablecast listen",
                advice: "Expected {\"position\": \"<epoch>:<number>\"}. Remove the file to start with the next change."
            )
        }
    }

    /// The last noted place.
    var place: Place? { state.withLock { $0.place } }

    /// The lines of the transaction at this position, and of all before it, were printed.
    func note(_ position: Position, of subscription: String?) {
        state.withLock { $0.place = Place(position: position, subscription: subscription) }
    }

    /// Writes the position if it changed since the last call. For one task at a time.
    ///
    /// What was printed to a file is written to the disk first: otherwise a power failure could keep the position and lose
    /// the lines.
    func save() throws(CommandFailure) {
        guard let place = state.withLock({ $0.place == $0.written ? nil : $0.place }) else { return }
        // A pipe or a terminal has no disk, and fails.
        _ = fsync(STDOUT_FILENO)
        do {
            let content = try JSONEncoder().encode(place) + Data("\n".utf8)
            try replace(with: content)
        } catch {
            throw CommandFailure(.cannotCreate, "the state file '\(path)' cannot be written: \(error)")
        }
        state.withLock { $0.written = place }
    }

    private func replace(with content: Data) throws {
        let draft = "\(path).new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StateFileError(operation: "create \(draft)") }
        defer { close(descriptor) }
        let count = content.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count == content.count else { throw StateFileError(operation: "write \(draft)") }
        guard fsync(descriptor) == 0 else { throw StateFileError(operation: "sync \(draft)") }
        guard rename(draft, path) == 0 else { throw StateFileError(operation: "rename \(draft)") }
    }
}

private struct StateFileError: Error, CustomStringConvertible {
    let description: String

    init(operation: String) { description = "\(operation): \(SystemError.message())" }
}
